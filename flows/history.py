"""What the Prefect server knows of the runs of a period, as the plain records that reports show."""

from __future__ import annotations

import logging
from datetime import datetime

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectException

from lib.reporting.runs import MILD, RunHistory, TroubledRun

TAG = "fks"  # of every deployment of ours; the server may be shared
FAILED = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED, StateType.CRASHED]))
TROUBLED = FlowRunFilterState(name=FlowRunFilterStateName(any_=[*MILD]))
ENDED = FlowRunFilterState(type=FlowRunFilterStateType(any_=[*TERMINAL_STATES]))
MOST_RUNS = 200  # of a kind; what the server gives in one answer
logger = logging.getLogger("lib.flows")


async def read_history(start: datetime, end: datetime) -> RunHistory:
    """Return the runs that were due from `start` to `end`; where the server does not answer, with the reason."""
    try:
        async with get_client() as client:
            runs = await client.count_flow_runs(flow_run_filter=_filter(ENDED, start, end))
            troubled: list[FlowRun] = []
            count = 0
            for state in (FAILED, TROUBLED):
                wanted = _filter(state, start, end)
                count += await client.count_flow_runs(flow_run_filter=wanted)
                newest_first = FlowRunSort.EXPECTED_START_TIME_DESC
                troubled += await client.read_flow_runs(flow_run_filter=wanted, sort=newest_first, limit=MOST_RUNS)
            names = await _read_names(client, troubled)
    except (httpx.HTTPError, PrefectException) as error:  # the report goes out without it, and says so
        logger.warning("The history of the runs could not be read: %s", error)
        return RunHistory(error=f"{type(error).__name__}: {error}")
    told = tuple(_to_record(run, names, end) for run in troubled)
    return RunHistory(runs, told, untold=max(0, count - len(told)))


def _filter(state: FlowRunFilterState, start: datetime, end: datetime) -> FlowRunFilter:
    return FlowRunFilter(
        state=state,
        tags=FlowRunFilterTags(all_=[TAG]),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=start, before_=end),
    )


async def _read_names(client: PrefectClient, runs: list[FlowRun]) -> dict[object, str]:
    ids = list({run.flow_id for run in runs})
    if not ids:
        return {}
    flows = await client.read_flows(flow_filter=FlowFilter(id=FlowFilterId(any_=ids)))
    return {flow.id: flow.name for flow in flows}


def _to_record(run: FlowRun, names: dict[object, str], otherwise: datetime) -> TroubledRun:
    state = run.state
    return TroubledRun(
        flow=names.get(run.flow_id, run.name),
        at=run.expected_start_time or otherwise,
        state=str(state.name) if state else "unknown",
        message=(state.message if state else None) or run.name,
    )
