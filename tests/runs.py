"""What a flow run left on the Prefect server: its name, states, task runs, logs and artifacts."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, Log, State, TaskRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events.worker import EventsWorker
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_async
from prefect.logging.handlers import APILogWorker

LOGS_A_REQUEST = 200
PATIENCE_SECONDS = 20


def id_of(state: State[Any]) -> UUID:
    """Return the id of the flow run that ended in this state."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    return run_id


async def send_pending() -> None:
    """Send logs and events that wait in this process."""
    for worker in (APILogWorker, EventsWorker):
        draining = worker.drain_all()
        if inspect.isawaitable(draining):
            await draining


async def read_run(run_id: UUID) -> FlowRun:
    """Return a flow run."""
    async with get_client() as client:
        return await client.read_flow_run(run_id)


async def read_task_runs(run_id: UUID) -> dict[str, TaskRun]:
    """Return the task runs of an ended flow run by name; the server learns of them by events, a moment later."""
    await send_pending()
    found: list[TaskRun] = []

    async def all_ended() -> bool:
        async with get_client() as client:
            this_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
            found[:] = await client.read_task_runs(flow_run_filter=this_run)
        return bool(found) and all(run.state and run.state.is_final() for run in found)

    deadline = monotonic() + PATIENCE_SECONDS
    while not await all_ended():
        assert monotonic() < deadline, "the server has not heard of the end of every task run"
        await asyncio.sleep(0.1)
    return {run.name: run for run in found}


async def read_logs(run_id: UUID) -> list[Log]:
    """Return everything that the run logged, in order."""
    await send_pending()
    logs: list[Log] = []
    async with get_client() as client:
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        while page := await client.read_logs(wanted, limit=LOGS_A_REQUEST, offset=len(logs)):
            logs.extend(page)
    return sorted(logs, key=lambda log: log.timestamp)


async def read_artifacts(run_id: Any) -> dict[str, str]:
    """Return the run's artifacts by key."""
    async with get_client() as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        found = await client.read_artifacts(artifact_filter=wanted)
    return {str(artifact.key): str(artifact.data) for artifact in found}


@asynccontextmanager
async def scheduled_run(flow: Flow[..., Any], due_at: datetime, every: timedelta) -> AsyncIterator[FlowRun]:
    """A run that the server's scheduler makes, due at an instant that may lie in the past."""
    async with get_client() as client:
        deployment_id = await client.create_deployment(await client.create_flow(flow), f"test-{uuid4().hex}")
        try:
            schedule = IntervalSchedule(interval=every, anchor_date=due_at, timezone="UTC")
            await client.create_deployment_schedules(deployment_id, [DeploymentScheduleCreate(schedule=schedule)])
            window = {"start_time": due_at.isoformat(), "end_time": due_at.isoformat(), "min_runs": 1, "max_runs": 1}
            await client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment_id}, json=window)
            of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
            runs = await client.read_flow_runs(deployment_filter=of_it)
            yield next(run for run in runs if run.expected_start_time == due_at)
        finally:
            await client.delete_deployment(deployment_id)


async def execute(flow: Flow[..., Any], run: FlowRun) -> State[Any]:
    """Run a run that the server has, as a worker's process does; it may end suspended."""
    try:
        state = await run_flow_async(flow, flow_run=run, parameters=run.parameters, return_type="state")
    except Pause as pause:
        state = pause.state
    assert isinstance(state, State)
    return state
