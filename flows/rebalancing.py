"""One rebalance plan from its review to its end: the decision of a person, the trades, and telling people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import get_client, runtime, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound

from flows import approval, protection, showing, support, tasks
from flows.trading_halt import read_halt
from lib.allocation.stores import Decision, StoredPlan
from lib.errors import AllItemsFailed
from lib.execution.rebalance_form import RebalanceForm, describe_plan, make_rebalance_form
from lib.tasks import rebalancing
from lib.tasks.rebalancing import ReviewResult, Starter

KEY = "rebalance-portfolio"
SHORTEST = timedelta(minutes=1)


async def rebalance(account: str, plan_id: int | None) -> State[Any]:
    """Carry out a stored plan, and return the state that the run ends in.

    Where a person must approve, the run is suspended here, and begins anew at its top when the form is sent.

    Args:
        account: Whose plan.
        plan_id: None for the account's open plan.
    """
    steps = {"review_plan": await support.attempt(review_plan, account, plan_id)}
    review = _result_of(steps["review_plan"])
    if isinstance(review, ReviewResult):
        steps |= await _carry_out(review)
    steps["send_notifications"] = await support.attempt(tasks.send_notifications)
    return await support.conclude_chain(KEY, **steps)


async def _carry_out(review: ReviewResult) -> dict[str, State[Any]]:
    plan, steps = review.plan, {}
    if review.question is not None:
        form = await _ask(review)
        steps["decide_on_plan"] = await support.attempt(decide_on_plan, plan, form)
        if form.decision is Decision.REJECTED or steps["decide_on_plan"].is_failed():
            return steps
    steps["rebalance_portfolio"] = await support.attempt(rebalance_portfolio, plan.account, plan.plan_id)
    steps["update_positions"] = await support.attempt(tasks.update_positions, plan.account)
    steps |= await protection.protect_changed(plan.account)
    steps["sync_account_balance"] = await support.attempt(tasks.sync_account_balance, plan.account)
    return steps


async def _ask(review: ReviewResult) -> RebalanceForm:
    plan, question = review.plan, review.question
    assert question is not None
    await support.attempt(tasks.send_notifications)  # that somebody is waited for, before the process ends
    await showing.rename_run(f"{plan.name} waits for a decision until {question.answer_by:%H:%M} UTC")
    async with support.platform() as platform:
        text = describe_plan(plan, question.answer_by, platform.settings.max_slippage_pct)
    within = max(SHORTEST, question.answer_by - datetime.now(UTC))
    return await approval.ask(make_rebalance_form(plan), text, within)


@task(name="review_plan", task_run_name="review_plan", **support.RETRY)
async def review_plan(account: str, plan_id: int | None) -> State[Any]:
    """Find the plan, refuse one that must not be run, and record that a person is asked."""
    async with support.platform() as platform:
        return support.conclude_task(await rebalancing.review_plan(platform, account, plan_id, _starter()))


@task(name="decide_on_plan", task_run_name="decide_on_plan", **support.RETRY)
async def decide_on_plan(plan: StoredPlan, form: RebalanceForm) -> State[Any]:
    """Keep what a person decided."""
    async with support.platform() as platform:
        return support.conclude_task(await rebalancing.decide_on_plan(platform, plan, form, _starter()))


@task(name="rebalance_portfolio", task_run_name="rebalance_portfolio", **support.RETRY)
async def rebalance_portfolio(account: str, plan_id: int) -> State[Any]:
    """Send the approved plan's orders, sells first, or go on where a killed run has left it."""
    async with support.platform() as platform:
        try:
            return support.conclude_task(await rebalancing.rebalance_portfolio(platform, account, plan_id, _starter()))
        except AllItemsFailed:  # nobody shows the tables of a task that failed
            tables = await rebalancing.render_stored_plan(platform, account, plan_id)
            await acreate_markdown_artifact("\n\n".join(tables), key="rebalance-plan", description=f"plan {plan_id}")
            raise


def _starter() -> Starter:
    return Starter(str(runtime.flow_run.id), read_halt, _is_waiting)


async def _is_waiting(run_id: str) -> bool:
    """Tell whether another flow run has not ended; one that was deleted has."""
    async with get_client() as client:
        try:
            run = await client.read_flow_run(UUID(run_id))
        except ObjectNotFound:
            return False
    return run.state is not None and not run.state.is_final()


def _result_of(state: State[Any]) -> Any:
    return getattr(state.data, "result", state.data)
