"""What every flow and task shares: retries, the platform of the run, late runs, and how a chain ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import Task, runtime
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed
from prefect.utilities.urls import url_for
from prefect_sqlalchemy import SqlAlchemyConnector

from flows.retrying import DATABASE_BLOCK, RETRY, RETRY_SECONDS, may_succeed_later
from flows.showing import rename_run
from lib.adapters.database.engine import ENGINE_OPTIONS
from lib.errors import RetryableError
from lib.notifications.links import link_messages
from lib.platform import Platform
from lib.reporting.chain import Outcome, calc_chain_status, render_chain, render_headline
from lib.results import Status, TaskResult
from lib.wiring import open_platform

__all__ = ["DATABASE_BLOCK", "RETRY", "RETRY_SECONDS", "may_succeed_later"]  # of `flows.retrying`, under this name too
logger = logging.getLogger("lib.flows")
_platform: ContextVar[Platform | None] = ContextVar("fks_platform", default=None)


@asynccontextmanager
async def platform() -> AsyncIterator[Platform]:
    """Open the platform once for a flow run; its tasks get the same one.

    An error that ends the run names it, so that a list of runs says what is wrong.
    """
    if (shared := _platform.get()) is not None:
        yield shared
        return
    async with AsyncExitStack() as stack:
        try:
            opened = await _open_through_restarts(stack)
            logging.getLogger("lib").setLevel(
                opened.settings.log_level
            )  # the worker's environment names the logger only
            stack.callback(_platform.reset, _platform.set(opened))
            stack.enter_context(link_messages(url_for("flow-run", runtime.flow_run.id)))
            yield opened
        except Exception as error:
            await rename_run(f"failed: {error}")
            raise


async def _open_through_restarts(stack: AsyncExitStack) -> Platform:
    """Open the platform with the same patience as tasks have: a restarting database must not cost a stop loss check."""
    for pause in RETRY_SECONDS:
        try:
            return await stack.enter_async_context(_open())
        except RetryableError as error:
            logger.warning("%s Trying again in %s s.", error, pause)
            await asyncio.sleep(pause)
    return await stack.enter_async_context(_open())


@asynccontextmanager
async def _open() -> AsyncIterator[Platform]:
    """The database comes from the block `fks-database`, which `fks up` and `fks apply` register."""
    block = await SqlAlchemyConnector.aload(DATABASE_BLOCK)
    engine = block.get_engine(**ENGINE_OPTIONS)
    try:
        async with open_platform(engine) as opened:
            yield opened
    finally:
        engine.dispose()


async def skip_when_late(every: timedelta) -> State[None] | None:
    """Return a `Skipped` state when this scheduled run starts later than its interval allows, else None.

    After an outage the scheduler's late runs all start at once; the newest one does the work of all.
    A run that a person started is never late.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not context.flow_run.auto_scheduled:
        return None
    seconds = (datetime.now(UTC) - runtime.flow_run.scheduled_start_time).total_seconds()
    if seconds <= every.total_seconds():
        return None
    reason = f"Started {seconds:.0f} s late, more than its interval; the next run does its work."
    logger.warning(reason)
    await rename_run(f"skipped: started {seconds:.0f} s late")
    return Completed(name="Skipped", message=reason)


async def run_chain(*steps: tuple[Any, ...], every: timedelta) -> State[Any]:
    """Run a chain's tasks one after the other, each with its retries, and return the state that the chain ends in.

    Each step runs even when an earlier one failed: a stop loss must not wait for a candle.

    Args:
        *steps: A task and its arguments each.
        every: The chain's interval. A run that starts later than that skips itself.
    """
    if late := await skip_when_late(every):
        return late
    async with platform():
        states = {task.name: await attempt(task, *given) for task, *given in steps}
        return await conclude_chain(str(runtime.flow_run.flow_name), **states)


async def attempt(task: Task[..., Any], *args: Any, **kwargs: Any) -> State[Any]:
    """Run a task with its retries and return its final state, also a failed one: the chain goes on."""
    state: State[Any] = await task(*args, **kwargs, return_state=True)
    return state


def conclude_task(result: TaskResult) -> State[TaskResult]:
    """Turn a result into the task's state: its name shows `Partial` or `Skipped`, its message what was done."""
    for item in result.failed:
        logger.error("%s: %s: %s", result.task, item.name, item.detail)
    logger.info("%s: %s", result.task, result.summary)
    names = {Status.PARTIAL: "Partial", Status.SKIPPED: "Skipped"}
    return Completed(name=names.get(result.status, "Completed"), message=result.summary, data=result)


async def conclude_chain(key: str, **states: State[Any]) -> State[None]:
    """Publish the chain's artifact, name the run after what it did, and return the state it ends in.

    Args:
        key: The artifact's key, as "critical-path": its history is the chain's history.
        **states: Each task's final state by the task's name, in order.

    Returns:
        `Completed`, `Partial` (type completed) or `Failed` with the first errors.
    """
    outcomes = [_outcome_of(task, state) for task, state in states.items()]
    headline = render_headline(outcomes)
    await acreate_markdown_artifact(render_chain(outcomes), key=key, description=headline)
    await rename_run(headline)
    status = calc_chain_status(outcomes)
    if status is Status.FAILED:
        return Failed(
            message="; ".join(f"{o.task} {o.line}".rstrip(".") for o in outcomes if o.status is Status.FAILED)
        )
    return Completed(name="Partial" if status is Status.PARTIAL else "Completed", message=headline)


def _outcome_of(task: str, state: State[Any]) -> Outcome:
    data = getattr(state.data, "result", state.data)  # a finished run's data is wrapped in a record
    if isinstance(data, TaskResult):
        return Outcome(task, result=data)
    error = str(data) if isinstance(data, Exception) else state.message or str(state.name)
    return Outcome(task, error=error.removeprefix(f"{task}: "))  # who reads it sees the task's name beside it
