"""Nightly: `backtesting/midnight`, 10 symbols x 4 strategies x 200 combinations, two years of 1h candles.

The stack is that of `fks up` in a temporary home, with the simulator's candles. The run is started by hand, once with
processes (the default) and once with threads of its own process, and is whole: candles are synchronised, candidates
stored, the page drawn. Seconds count from its start to Completed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import psutil

from benchmarks.chain import PATIENCE_SECONDS, Memory, ask, open_server, open_stack, run_by_hand
from benchmarks.measuring import show_table
from benchmarks.servers import temporary_folder
from deployments.specification import TAG
from deployments.stack import Stack

NIGHT = "backtesting/midnight"
SYMBOLS, HISTORY = 10, {"1h": 730}
WAYS = {"processes": "", "threads": "0"}  # FKS_SEARCH_PROCESSES


def run() -> None:
    table = []
    for way, processes in WAYS.items():
        with temporary_folder() as folder, _setting(processes), open_stack(folder, SYMBOLS, HISTORY, "1h") as stack:
            table.append((way, *_measure(stack)))
    show_table(
        ("works out cells by", "night, s", "run_backtest, s", "first cell after, s", "cells", "most memory, MB"), table
    )


@contextmanager
def _setting(processes: str) -> Iterator[None]:
    before = os.environ.get("FKS_SEARCH_PROCESSES")
    if processes:
        os.environ["FKS_SEARCH_PROCESSES"] = processes
    try:
        yield
    finally:
        os.environ.pop("FKS_SEARCH_PROCESSES", None)
        if before is not None:
            os.environ["FKS_SEARCH_PROCESSES"] = before


def _measure(stack: Stack) -> tuple[str, ...]:
    """Fetch the history by a first night of one strategy, then measure one of all."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with stack.api as api, open_server(stack) as http:
        deployment = next(found.id for found in api.load_deployments(TAG) if found.name == NIGHT)
        first = run_by_hand(api, deployment, deadline)
        print(f"Before the measurement: {first.state}: {first.name}", flush=True)
        with _watching(stack) as memory:
            night = run_by_hand(api, deployment, deadline)
        print(f"{night.state}: {night.name}", flush=True)
        return (*_read(http, deployment), f"{sum(memory.peaks.values()):.0f}")


@contextmanager
def _watching(stack: Stack) -> Iterator[Memory]:
    """Note the most memory of the run's process and of each of its pool; their sum is what is shown."""
    memory, done = Memory(), threading.Event()
    worker = stack.children["worker"].process
    assert worker is not None
    watcher = threading.Thread(target=memory.watch, args=(psutil.Process(worker.pid), done))
    watcher.start()
    try:
        yield memory
    finally:
        done.set()
        watcher.join()


def _read(http: httpx.Client, deployment: str) -> tuple[str, ...]:
    of_it = {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["COMPLETED"]}}}
    [night] = ask(http, "/flow_runs/filter", flow_runs=of_it, sort="START_TIME_DESC", limit=1)
    tasks = ask(http, "/task_runs/filter", flow_runs={"id": {"any_": [night["id"]]}}, limit=200)
    cells = [task for task in tasks if task["name"].startswith("try_parameters")]
    whole = next(task for task in tasks if task["name"].startswith("run_backtest"))
    first = min(_at(cell, "start_time") for cell in cells) - _at(whole, "start_time")
    return (
        f"{(_at(night, 'end_time') - _at(night, 'start_time')).total_seconds():.1f}",
        f"{whole['total_run_time']:.1f}",
        f"{first.total_seconds():.1f}",
        str(len(cells)),
    )


def _at(run: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(run[name])
