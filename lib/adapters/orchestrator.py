"""What a Prefect server tells of runs, queues and workers, by its HTTP API: importing Prefect costs seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any, NamedTuple

from lib.health.figures import FlowFigures, QueueFigures, QueueState, ServerFigures, TaskFigures, WorkerFigures
from lib.health.speeds import speed_of

Ask = Callable[[str, Mapping[str, Any]], Any]
"""Posts a JSON body to a path of the API and returns the JSON that it answers; raises when there is none."""

TAG = "fks"  # of every deployment of ours; the server may be shared
POOL = "fks"
PAGE = 200  # the most that the server gives in one answer
MOST_PAGES = 50
BROKEN = {"FAILED", "CRASHED"}
ENDED = ["COMPLETED", "FAILED", "CRASHED"]
BEGUN = {"RUNNING", "PENDING", "CANCELLING"}
OURS = {"tags": {"all_": [TAG]}}


def load_figures(ask: Ask, now: datetime, window: timedelta) -> ServerFigures:
    """Return what ended within the window, and the pool now. Raises as `ask` does.

    At 2,000 task runs and 500 flow runs a day this is about 16 requests.
    """
    since = now - window
    recent = {"start_time": {"after_": since.isoformat()}, "state": {"type": {"any_": ENDED}}}
    newest = {"sort": "END_TIME_DESC"}
    tasks, all_tasks = _load_pages(ask, "/task_runs/filter", {"flow_runs": OURS, "task_runs": recent} | newest)
    runs, all_runs = _load_pages(ask, "/flow_runs/filter", {"flow_runs": OURS | recent} | newest)
    return ServerFigures(
        since=since,
        until=now,
        state=load_state(ask, now),
        flows=_sum_flows(runs, load_flow_names(ask, runs)),
        tasks=_sum_tasks(tasks),
        is_whole=all_tasks and all_runs,
    )


def load_state(ask: Ask, now: datetime) -> QueueState:
    """Return the pool, its queues and its workers as they are now: four requests. Raises as `ask` does."""
    pools = ask("/work_pools/filter", {"work_pools": {"name": {"any_": [POOL]}}})
    if not pools:
        return QueueState(pool="missing", queues=(), workers=())
    queues = ask(f"/work_pools/{POOL}/queues/filter", {})
    due = {"expected_start_time": {"before_": now.isoformat()}}
    unfinished = {"state": {"type": {"any_": ["SCHEDULED", *sorted(BEGUN)]}}}
    of_pool = {"work_pools": {"name": {"any_": [POOL]}}}
    body = {"flow_runs": due | unfinished} | of_pool | {"sort": "EXPECTED_START_TIME_ASC"}
    runs, _ = _load_pages(ask, "/flow_runs/filter", body)
    workers = ask(f"/work_pools/{POOL}/workers/filter", {})
    return QueueState(
        pool=str(pools[0]["status"] or "unknown").lower(),
        queues=tuple(_sum_queue(queue, runs) for queue in sorted(queues, key=lambda queue: queue["priority"])),
        workers=tuple(_to_worker(worker) for worker in workers),
    )


def load_flow_names(ask: Ask, runs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the names of these runs' flows by the flow's id."""
    ids = sorted({str(run["flow_id"]) for run in runs})
    found, _ = _load_pages(ask, "/flows/filter", {"flows": {"id": {"any_": ids}}}) if ids else ([], True)
    return {str(flow["id"]): str(flow["name"]) for flow in found}


def _load_pages(ask: Ask, path: str, body: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], bool]:
    """Return everything that the filter finds, up to a bound, and whether that was all."""
    found: list[Mapping[str, Any]] = []
    for page in range(MOST_PAGES):
        rows = ask(path, {**body, "limit": PAGE, "offset": page * PAGE})
        found.extend(rows)
        if len(rows) < PAGE:
            return list({row["id"]: row for row in found}.values()), True  # one that ended meanwhile moved the pages
    return list({row["id"]: row for row in found}.values()), False


def _sum_tasks(runs: Iterable[Mapping[str, Any]]) -> tuple[TaskFigures, ...]:
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        by_task[str(run["name"])].append(run)
    return tuple(_sum_task(name, by_task[name]) for name in sorted(by_task))


def _sum_task(name: str, runs: Sequence[Mapping[str, Any]]) -> TaskFigures:
    seconds = [float(run["total_run_time"]) for run in runs]
    return TaskFigures(
        task=name,
        speed=speed_of(name),
        ended=len(runs),
        failed=sum(run["state_type"] in BROKEN for run in runs),
        median_seconds=median(seconds),
        p95_seconds=quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0],
        longest_seconds=max(seconds),
    )


def _sum_flows(runs: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> tuple[FlowFigures, ...]:
    by_flow: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        by_flow[names.get(str(run["flow_id"]), "unknown")].append(run)
    return tuple(_sum_flow(name, by_flow[name]) for name in sorted(by_flow))


def _sum_flow(name: str, runs: Sequence[Mapping[str, Any]]) -> FlowFigures:
    seconds = [float(run["total_run_time"]) for run in runs]
    return FlowFigures(
        flow=name,
        ended=len(runs),
        failed=sum(run["state_type"] in BROKEN for run in runs),
        partial=sum(run["state_name"] == "Partial" for run in runs),
        skipped=sum(run["state_name"] == "Skipped" for run in runs),
        median_seconds=median(seconds),
        longest_seconds=max(seconds),
    )


def _sum_queue(queue: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> QueueFigures:
    ours = [run for run in runs if run["work_queue_id"] == queue["id"]]
    waiting = [run for run in ours if run["state_type"] == "SCHEDULED"]
    due = [datetime.fromisoformat(run["expected_start_time"]) for run in waiting]
    return QueueFigures(
        name=queue["name"],
        at_once=queue["concurrency_limit"],
        waiting=len(waiting),
        running=len(ours) - len(waiting),
        oldest_due_at=min(due, default=None),
        is_paused=queue["is_paused"],
    )


def _to_worker(worker: Mapping[str, Any]) -> WorkerFigures:
    return WorkerFigures(
        name=worker["name"],
        is_online=str(worker["status"]).upper() == "ONLINE",
        seen_at=datetime.fromisoformat(worker["last_heartbeat_time"]),
    )


class LateRun(NamedTuple):
    """A run that is due and has not begun; `at` is when it was due, UTC."""

    flow: str
    name: str
    queue: str
    at: datetime


def load_late(ask: Ask, now: datetime) -> list[LateRun]:
    """Return the runs of ours that are due and wait, the oldest first; at most a page. Raises as `ask` does."""
    late = {"state": {"name": {"any_": ["Late"]}}, "expected_start_time": {"before_": now.isoformat()}}
    body = {"flow_runs": OURS | late, "sort": "EXPECTED_START_TIME_ASC", "limit": PAGE}
    runs = ask("/flow_runs/filter", body)
    names = load_flow_names(ask, runs)
    return [
        LateRun(
            names.get(str(run["flow_id"]), "unknown"),
            run["name"],
            run["work_queue_name"] or "none",
            datetime.fromisoformat(run["expected_start_time"]),
        )
        for run in runs
    ]


class FailedRun(NamedTuple):
    """A run that failed or crashed; `at` is when it ended, UTC, `message` why."""

    id: str
    at: datetime
    message: str


class Failure(NamedTuple):
    """The failed runs of one flow: how many, the newest, and whether a later run completed."""

    flow: str
    runs: int
    last: FailedRun
    is_over: bool


def load_failures(ask: Ask, since: datetime) -> list[Failure]:
    """Return the flows of ours of which runs failed since then, the newest failure first. Raises as `ask` does."""
    ended = {"state": {"type": {"any_": ENDED}}, "end_time": {"after_": since.isoformat()}}
    runs, _ = _load_pages(ask, "/flow_runs/filter", {"flow_runs": OURS | ended, "sort": "END_TIME_DESC"})
    names = load_flow_names(ask, runs)
    by_flow: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        by_flow[names.get(str(run["flow_id"]), "unknown")].append(run)
    found = [_find_failure(flow, newest_first) for flow, newest_first in by_flow.items()]
    return sorted((one for one in found if one), key=lambda one: one.last.at, reverse=True)


def _find_failure(flow: str, newest_first: Sequence[Mapping[str, Any]]) -> Failure | None:
    failed = [run for run in newest_first if run["state_type"] in BROKEN]
    if not failed:
        return None
    last = failed[0]
    message = str((last["state"] or {}).get("message") or last["name"])
    is_over = newest_first[0]["state_type"] not in BROKEN
    return Failure(flow, len(failed), FailedRun(last["id"], datetime.fromisoformat(last["end_time"]), message), is_over)
