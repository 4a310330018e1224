"""What every flow and task shares: retries, the platform of the run, run names, artifacts, and late runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from prefect import Task, get_client, runtime
from prefect.artifacts import acreate_markdown_artifact, acreate_progress_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed
from prefect_sqlalchemy import SqlAlchemyConnector

from lib.adapters.database.engine import ENGINE_OPTIONS
from lib.errors import AllItemsFailed, DataError, OperatorError
from lib.platform import Platform
from lib.reporting.chain import Outcome, calc_chain_status, render_chain, render_headline
from lib.results import Status, TaskResult
from lib.wiring import open_platform

DATABASE_BLOCK = "fks-database"
logger = logging.getLogger("lib.flows")
_platform: ContextVar[Platform | None] = ContextVar("fks_platform", default=None)


def may_succeed_later(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Tell whether a retry may help: not where a person must act, and not where the data is wrong."""
    error = state.data
    if isinstance(error, AllItemsFailed):
        return error.retryable
    return not isinstance(error, OperatorError | DataError)


# Seconds, because the next run comes in five minutes and a stop loss must not wait for a long retry.
RETRY: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [2, 8],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_succeed_later,
    "cache_policy": NO_CACHE,
}


@asynccontextmanager
async def platform() -> AsyncIterator[Platform]:
    """Open the platform once for a flow run; its tasks get the same one.

    The database comes from the block `fks-database`, which `fks up` and `fks apply` register.
    """
    if (shared := _platform.get()) is not None:
        yield shared
        return
    block = await SqlAlchemyConnector.aload(DATABASE_BLOCK)
    engine = block.get_engine(**ENGINE_OPTIONS)
    async with open_platform(engine) as opened:
        logging.getLogger("lib").setLevel(opened.settings.log_level)  # the worker's environment names the logger only
        token = _platform.set(opened)
        try:
            yield opened
        finally:
            _platform.reset(token)
            engine.dispose()


def skip_when_late(every: timedelta) -> State[None] | None:
    """Return a `Skipped` state when this scheduled run starts later than its interval allows, else None.

    After an outage the scheduler's late runs all start at once; the newest one does the work of all.
    A run that a person started is never late.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not context.flow_run.auto_scheduled:
        return None
    due_at = runtime.flow_run.scheduled_start_time
    late = datetime.now(UTC) - due_at
    if late <= every:
        return None
    seconds = late // timedelta(seconds=1)
    reason = f"Started {seconds} s late, more than its interval; the next run does its work."
    logger.warning(reason)
    return Completed(name="Skipped", message=reason)


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
    await _rename_run(f"{datetime.now(UTC):%H:%M} {headline}")
    status = calc_chain_status(outcomes)
    if status is Status.FAILED:
        return Failed(message="; ".join(o.line for o in outcomes if o.status is Status.FAILED))
    return Completed(name="Partial" if status is Status.PARTIAL else "Completed", message=headline)


def _outcome_of(task: str, state: State[Any]) -> Outcome:
    data = getattr(state.data, "result", state.data)  # a finished run's data is wrapped in a record
    if isinstance(data, TaskResult):
        return Outcome(task, result=data)
    return Outcome(task, error=str(data) if isinstance(data, Exception) else state.message or state.name)


def name_run() -> str:
    """Name a run that has just begun; `conclude_chain` names it after what it did."""
    return f"{runtime.flow_run.scheduled_start_time:%H:%M} running"


async def _rename_run(name: str) -> None:
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        async with get_client() as client:
            await client.update_flow_run(context.flow_run.id, name=name[:200])


@asynccontextmanager
async def progress_artifact(key: str) -> AsyncIterator[Callable[[int, int, str], None]]:
    """Give ``show(done, total, what)``: a progress artifact of work that takes longer than a second.

    It is made at the first report after that second, updated once a second at most, and completed at the end.
    """
    artifact_id: UUID | None = None
    shown_at = monotonic()
    latest = (0, 0, "")
    update: asyncio.Task[None] | None = None

    async def publish() -> None:
        nonlocal artifact_id
        done, total, what = latest
        percent, text = 100 * min(done, total) / max(total, 1), f"{what}: {done:,} of {total:,}"
        if artifact_id is None:
            artifact_id = await acreate_progress_artifact(percent, key=key, description=text)
        else:
            await aupdate_progress_artifact(artifact_id, percent, description=text)

    def show(done: int, total: int, what: str) -> None:
        nonlocal latest, shown_at, update
        latest = (done, total, what)
        if monotonic() - shown_at >= 1 and (update is None or update.done()):
            shown_at = monotonic()
            update = asyncio.create_task(publish())

    try:
        yield show
    finally:
        if update is not None:
            await update
            await publish()
