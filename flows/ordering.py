"""One order from its review to its end: dry run, approval, sending, fills, and telling people."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import approval, order_tasks, protection, support, tasks
from lib.execution.approval import ApprovalForm
from lib.execution.ticket_report import OrderReview
from lib.execution.tickets import Ticket
from lib.results import Status, TaskResult

CRUCIAL = ("review_order", "decide_order", "place_order")


async def conclude_order(key: str, reviewed: State[Any]) -> State[Any]:
    """Take a reviewed order to its end, and return the state that the run ends in.

    A dry run ends after the review. With an approval to wait for, the run is suspended here, and begins anew at its
    top when the form is sent.

    Args:
        key: The artifact's, as "open-position".
        reviewed: The final state of the review.
    """
    return await support.conclude_chain(key, **await _execute(reviewed), send_notifications=await _tell())


async def conclude_exit(key: str, reviewed: State[Any], exit_id: int) -> State[Any]:
    """Take the order of an exit to its end, and note what came of it.

    A failure leaves the run Partial: it is told urgently, and tried again by the next chain; people are told of each
    failed run besides, which must not go on every five minutes.

    Args:
        key: The artifact's.
        reviewed: The final state of the review.
        exit_id: Which exit.
    """
    steps = await _execute(reviewed)
    rejected = _find_rejection(steps)
    failed = [state for task, state in steps.items() if task in CRUCIAL and state.is_failed()]
    error = str(_result_of(failed[0]) or failed[0].message) if failed else ""
    steps["settle_exit"] = await support.attempt(order_tasks.settle_exit, exit_id, rejected=rejected, error=error)
    concluded = await support.conclude_chain(key, **steps, send_notifications=await _tell())
    if concluded.is_failed() and not steps["settle_exit"].is_failed():
        return Completed(name="Partial", message=concluded.message)
    return concluded


async def _execute(reviewed: State[Any]) -> dict[str, State[Any]]:
    steps = {"review_order": reviewed}
    review = _result_of(reviewed)
    if not isinstance(review, OrderReview) or review.ticket is None or not review.execute:
        return steps
    ticket = review.ticket
    if review.asks:
        steps["decide_order"] = await _ask(review, ticket)
        if _find_rejection(steps) or steps["decide_order"].is_failed():
            return steps
    steps["place_order"] = await support.attempt(order_tasks.place_order, ticket.account, ticket.client_order_id)
    steps["update_positions"] = await support.attempt(tasks.update_positions, ticket.account)
    return steps | await protection.protect_changed(ticket.account)


async def _ask(review: OrderReview, ticket: Ticket) -> State[Any]:
    await _tell()  # that somebody is waited for, before the process ends
    form = await approval.ask(ApprovalForm, review.render_question(), review.answer_within)
    return await support.attempt(order_tasks.decide_order, ticket.account, ticket.client_order_id, form)


def _find_rejection(steps: dict[str, State[Any]]) -> str:
    """Return who rejected the order and why, or nothing."""
    decided = _result_of(steps["decide_order"]) if "decide_order" in steps else None
    if isinstance(decided, TaskResult) and decided.status is Status.SKIPPED:
        return decided.items[0].detail
    return ""


def _result_of(state: State[Any]) -> Any:
    """Return what a task returned or raised."""
    return getattr(state.data, "result", state.data)  # a finished run's data is wrapped in a record


async def _tell() -> State[Any]:
    return await support.attempt(tasks.send_notifications)
