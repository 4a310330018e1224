"""Chain: the market's chains from their scheduled instants to Completed on the whole stack, for 10 and 500 symbols.

The stack is that of `fks up` in a temporary home. Only this differs from production, so that minutes suffice: each
chain runs every minute (seconds apart, as in production), the timeframes are 1m, 5m, 15m, 1h instead of 5m, 1h, 4h, 1d,
and signals are made of 1m candles. So each minute brings one due candle a symbol (every fifth one two, as at full hours
in production), which the critical path fetches; and new signals, indicators and balances for the chains after it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from rich.console import Console

from benchmarks.measuring import render_spread, show_table
from benchmarks.servers import temporary_folder
from deployments.display import Display
from deployments.prefect_api import PrefectApi, Run
from deployments.specification import TAG
from deployments.stack import Stack, running_stack
from lib.settings import load_settings
from lib.simulator.instruments import make_profiles

CRITICAL = "critical-path/every-5-minutes"
DEPLOYMENTS = {  # and the second of the minute that it runs at; with 500 symbols each takes up to twenty
    CRITICAL: 2,
    "signal-generation/every-15-minutes": 22,
    "market-analysis/every-30-minutes": 42,
}
SIZES = (10, 500)
INSTANTS = 6
SHORT_HISTORY = {"1m": 1, "5m": 1, "15m": 1, "1h": 1}
LONG_HISTORY = {"1m": 14, "5m": 30, "15m": 90, "1h": 730}
PATIENCE_SECONDS = 900.0  # of one stack, beyond its instants


@dataclass(frozen=True)
class Chain:
    """One scheduled run, in seconds after its instant.

    Attributes:
        name: What it says that it did.
        began: Its flow function began.
        ended: It was Completed.
        tasks: Seconds of each task.
    """

    name: str
    state: str
    began: float
    ended: float
    tasks: Mapping[str, float]


@dataclass
class Memory:
    """The most memory of each flow process, in megabytes, by process id."""

    peaks: dict[int, float] = field(default_factory=dict)

    def watch(self, worker: psutil.Process, done: threading.Event) -> None:
        """Look at the worker's flow processes until told to stop."""
        while not done.wait(0.25):
            for process in worker.children(recursive=True):
                self._look(process.pid)

    def _look(self, pid: int) -> None:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return  # it has just ended
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
        if peak is not None:
            self.peaks[pid] = max(self.peaks.get(pid, 0.0), int(peak) / 1024)


def run() -> None:
    cases = [*((symbols, SHORT_HISTORY) for symbols in SIZES), (SIZES[0], LONG_HISTORY)]
    table = []
    for symbols, history in cases:
        label = f"{symbols}{', long history' if history is LONG_HISTORY else ''}"
        by_deployment, memory = measure(symbols, history)
        for deployment, chains in by_deployment.items():
            for chain in chains:
                times = f"began {chain.began:5.2f} s, ended {chain.ended:5.2f} s after its instant"
                print(f"{label} symbols, {deployment}: {times}, {chain.state}: {chain.name}", flush=True)
            table.append(_to_row(label, deployment, chains))
        print(f"{label} symbols: most memory of a flow process {max(memory.peaks.values()):.0f} MB", flush=True)
    show_table(("symbols", "chain", "instant to Completed, s", "until it begins", "its tasks, s"), table)


def measure(symbols: int, history: Mapping[str, int]) -> tuple[dict[str, list[Chain]], Memory]:
    """Run a stack, let it fetch the history, and follow the next scheduled chains."""
    memory, done = Memory(), threading.Event()
    with temporary_folder() as folder, open_stack(folder, symbols, history) as stack, open_server(stack) as http:
        deployments = _prepare(stack, http)
        worker = stack.children["worker"].process
        assert worker is not None
        watcher = threading.Thread(target=memory.watch, args=(psutil.Process(worker.pid), done))
        watcher.start()
        try:
            since = datetime.now(UTC)
            return {name: _follow(http, found, since) for name, found in deployments.items()}, memory
        finally:
            done.set()
            watcher.join()


def open_server(stack: Stack) -> httpx.Client:
    """Return a client of the stack's Prefect API."""
    return httpx.Client(base_url=stack.addresses.api_url, timeout=30, trust_env=False)


@contextmanager
def open_stack(folder: Path, symbols: int, history: Mapping[str, int], signal_timeframe: str = "1m") -> Iterator[Stack]:
    """Run the stack of `fks up`; its programs read their settings from the environment, so they are set there."""
    names = [profile.instrument.base for profile in make_profiles(symbols).values()]
    ours = {
        "FKS_HOME": str(folder),
        "FKS_PREFECT_PORT": str(_free_port()),
        "FKS_SIMULATOR_PORT": str(_free_port()),
        "FKS_MAINS": json.dumps(names[:3]),
        "FKS_ALTS": json.dumps(names[3:]),
        "FKS_HISTORY_DAYS": json.dumps(dict(history)),
        "FKS_SIGNAL_TIMEFRAME": signal_timeframe,
    }
    before = dict(os.environ)
    os.environ.update(ours)
    try:
        with (folder / "display.log").open("w") as log:
            options = ("--symbols", str(symbols))
            display = Display(Console(file=log, width=120))
            with running_stack(load_settings(), display, threading.Event(), simulator_options=options) as stack:
                yield stack
    finally:
        os.environ.clear()
        os.environ.update(before)


def _prepare(stack: Stack, http: httpx.Client) -> dict[str, str]:
    """Start chains by hand until history and fills are there, then let them run every minute; return ids by name.

    The first import of 500 symbols alone costs more weight than a minute has, so that it takes several chains.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    with stack.api as api:
        ids = {found.name: found.id for found in api.load_deployments(TAG) if found.name in DEPLOYMENTS}
        for name in DEPLOYMENTS:
            run: Run | None = None
            while run is None or run.state != "Completed" or "fresh" not in run.name:
                run = run_by_hand(api, ids[name], deadline)
                print(f"Before the measurement: {name}: {run.state}: {run.name}", flush=True)
    for name, second in DEPLOYMENTS.items():
        schedule = http.get(f"/deployments/{ids[name]}/schedules").raise_for_status().json()[0]
        anchor = f"2026-01-01T00:00:{second:02}+00:00"
        changed = {"schedule": {"interval": 60, "anchor_date": anchor, "timezone": "UTC"}, "active": True}
        http.patch(f"/deployments/{ids[name]}/schedules/{schedule['id']}", json=changed).raise_for_status()
    return {name: ids[name] for name in DEPLOYMENTS}


def run_by_hand(api: PrefectApi, deployment: str, deadline: float) -> Run:
    """Start a deployment and wait for the end of its run."""
    run_id = api.start_run(deployment)
    while not (run := api.load_run(run_id)).is_over:
        _check_patience(deadline)
        time.sleep(1)
    return run


def _follow(http: httpx.Client, deployment: str, since: datetime) -> list[Chain]:
    """Wait until enough of the runs that were scheduled for instants after `since` have ended, and return them."""
    deadline = time.monotonic() + 60 * INSTANTS + PATIENCE_SECONDS
    ended = {
        "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}},
        "deployment_id": {"any_": [deployment]},
        "expected_start_time": {"after_": since.isoformat()},
    }
    while True:
        runs = ask(http, "/flow_runs/filter", flow_runs=ended, sort="START_TIME_ASC")
        scheduled = [run for run in runs if run["auto_scheduled"]]
        if len(scheduled) >= INSTANTS:
            return [_to_chain(http, run) for run in scheduled]
        _check_patience(deadline)
        time.sleep(5)


def _to_chain(http: httpx.Client, run: dict[str, Any]) -> Chain:
    tasks = ask(http, "/task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    due = datetime.fromisoformat(run["expected_start_time"])
    return Chain(
        name=run["name"],
        state=run["state_name"],
        began=(datetime.fromisoformat(run["start_time"]) - due).total_seconds(),
        ended=(datetime.fromisoformat(run["end_time"]) - due).total_seconds(),
        tasks={task["name"].split("-")[0]: float(task["total_run_time"]) for task in tasks},
    )


def _to_row(symbols: str, deployment: str, chains: Sequence[Chain]) -> tuple[str, ...]:
    names = list(dict.fromkeys(name for chain in chains for name in chain.tasks))
    tasks = [f"{name} {median(chain.tasks.get(name, 0.0) for chain in chains):.2f}" for name in names]
    return (
        symbols,
        deployment.split("/")[0],
        render_spread([chain.ended for chain in chains]),
        f"{median(chain.began for chain in chains):.2f}",
        ", ".join(tasks),
    )


def ask(http: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    """Return what the server's filter finds."""
    answer: list[dict[str, Any]] = http.post(path, json=body).raise_for_status().json()
    return answer


def _check_patience(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise RuntimeError("The chains did not complete in time.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
