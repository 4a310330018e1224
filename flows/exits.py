"""Starting the closing runs that crossed limits want: each is a run of its own, so the five-minute chain stays fast."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas import OrchestrationResult
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelled

from lib.errors import FksError, RetryableError
from lib.platform import Platform
from lib.portfolio.exits import Exit, ExitState
from lib.results import Item, Status, failed_item
from lib.tasks import exits

DEPLOYMENT = "close-position/manual"  # as in prefect.yaml
RESUMING = "Resuming"  # what the server names the state of a run whose form was sent
logger = logging.getLogger("lib.flows")


async def start_exits(platform: Platform) -> tuple[Item, ...]:
    """Start the run of every exit that waits for one, and have those tried again whose run has failed.

    A run's idempotency key names the exit and the attempt: when this process is killed after it has started one, the
    next chain gets the same run.

    Returns:
        An item for each open exit; a failed one where its run could not be started.
    """
    items = []
    for one in await exits.load_open_exits(platform):
        try:
            async with get_client() as client:
                items.append(await _follow(platform, client, one))
        except (httpx.HTTPError, PrefectException, FksError) as error:  # one exit's trouble must not hold up another
            logger.exception("%s could not be started", one.name)
            trouble = RetryableError(f"The run of close-position could not be started: {error} The next chain tries.")
            items.append(failed_item(one.name, error if isinstance(error, FksError) else trouble))
    return tuple(items)


async def _follow(platform: Platform, client: PrefectClient, one: Exit) -> Item:
    state = await _read_state(client, one.present_run)
    waiting = state if state is not None and not state.is_final() else None
    if waiting and not _can_be_cancelled(waiting):
        return _note(one, f"close-position is {waiting.name}")
    if why := await exits.find_obstacle(platform, one):
        if waiting:
            await _cancel(client, one, why)
        await exits.give_up(platform, one, why)
        return _note(one, f"given up: {why}")
    if waiting and one.state is ExitState.STARTED:
        if not exits.has_to_begin_anew(platform, one, is_suspended=waiting.is_paused()):
            return _note(one, f"close-position is {waiting.name}")
        one = await exits.begin_anew(platform, one)  # noted first: a cancelled run is taken for a person's no
    elif one.state is ExitState.STARTED:
        cancelled, crashed = (state is not None and state.is_cancelled()), (state is None or state.is_crashed())
        one = await exits.take_over(platform, one, cancelled=cancelled, crashed=crashed)
    if one.state is not ExitState.WANTED:
        return _note(one, one.note or str(one.state))
    if waiting:
        await _cancel(client, one, "Another run of close-position takes its place.")
    if exits.find_policy(platform, one) is not one.policy:
        one = await exits.begin_anew(platform, one)
    return await _start(platform, client, one)


def _note(one: Exit, detail: str) -> Item:
    return Item(name=one.name, status=Status.OK, detail=detail)


def _can_be_cancelled(state: State) -> bool:
    """Tell whether nothing of the run is at work: it waits for a worker or for a person who has not answered."""
    return state.is_paused() or (state.is_scheduled() and state.name != RESUMING)


async def _cancel(client: PrefectClient, one: Exit, why: str) -> None:
    """Cancel the run that an exit waits for, so that nobody sends its form any more."""
    done: OrchestrationResult[Any] = await client.set_flow_run_state(UUID(one.present_run), Cancelled(message=why))
    if done.status is not SetStateStatus.ACCEPT:
        raise RetryableError(f"Run {one.present_run} of close-position could not be cancelled. The next chain tries.")


async def _start(platform: Platform, client: PrefectClient, one: Exit) -> Item:
    deployment = await client.read_deployment_by_name(DEPLOYMENT)
    run = await client.create_flow_run_from_deployment(
        deployment.id,
        parameters={"account": one.account, "symbol": one.symbol, "execute": True, "exit_id": one.exit_id},
        idempotency_key=one.next_key,
    )
    await exits.begin_exit(platform, one, str(run.id))
    return _note(one, f"close-position was started, attempt {one.attempts + 1}")


async def _read_state(client: PrefectClient, run: str | None) -> State | None:
    """Return the state of a run; None when the server has it no longer."""
    try:
        return (await client.read_flow_run(UUID(run))).state if run else None
    except ObjectNotFound:
        return None
