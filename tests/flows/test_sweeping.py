"""Working cells out: processes that die, and processes whose parent dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil

from flows.sweeping import work_out
from lib.errors import DataError, WorkersUnavailable
from lib.research.cells import Cell, Tried
from lib.research.rules import TradingRules

AT = datetime(2026, 1, 1, tzinfo=UTC)
FOUND = Tried(np.zeros((1, 1)), np.zeros(1), np.zeros(1), np.zeros(1, np.int64))


def cells(*symbols: str) -> list[Cell]:
    return [Cell("breakout", {}, "", one, (one,), "1h", AT, AT, AT, TradingRules(), 1, 1) for one in symbols]


@dataclass
class Done:
    """A future whose cell is over."""

    outcome: Tried | Exception

    def result(self, *, raise_on_failure: bool) -> Any:
        if isinstance(self.outcome, BrokenProcessPool):
            raise self.outcome
        return self.outcome


@dataclass
class Pools:
    """Pools whose processes die at cells: each so many times, and with it all that the pool has not done."""

    deaths: dict[str, int]
    worked: list[list[str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        """Nothing is left to end."""

    def map(self, task: object, given: Mapping[str, Sequence[Cell]]) -> list[Done]:
        self.worked.append([one.symbol for one in given["cell"]])
        outcomes: list[Done] = []
        is_broken = False
        for one in given["cell"]:
            if self.deaths.get(one.symbol, 0) > 0 and not is_broken:
                self.deaths[one.symbol] -= 1
                is_broken = True
            outcomes.append(Done(BrokenProcessPool("A process died.") if is_broken else FOUND))
        return outcomes


def work(pools: Pools, *symbols: str) -> list[Tried | Exception]:
    make: Callable[[], Any] = lambda: pools  # noqa: E731 - typed as a runner would be
    return list(work_out(cells(*symbols), make))


def test_what_a_dead_process_leaves_is_worked_out_by_a_new_pool() -> None:
    pools = Pools({"B": 1})
    assert work(pools, "A", "B", "C") == [FOUND] * 3
    assert pools.worked == [["A", "B", "C"], ["B", "C"]]


def test_a_cell_at_which_processes_die_again_has_failed_and_no_other() -> None:
    pools = Pools({"B": 9})
    first, second, third = work(pools, "A", "B", "C")
    assert (first, third) == (FOUND, FOUND)
    assert isinstance(second, WorkersUnavailable)
    assert "FKS_SEARCH_PROCESSES" in str(second)
    assert pools.worked == [["A", "B", "C"], ["B", "C"], ["C"]]


def test_an_error_of_a_cell_is_its_outcome() -> None:
    error = DataError("no candle")

    class Failing(Pools):
        def map(self, task: object, given: Mapping[str, Sequence[Cell]]) -> list[Done]:
            return [Done(FOUND), Done(error)]

    assert work(Failing({}), "A", "B") == [FOUND, error]


PARENT = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from os import getpid
from pathlib import Path
from flows.ending import end_with_parent
if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), end_with_parent) as pool:
        print(pool.submit(getpid).result(), flush=True)
        input()  # until it is killed
"""


def test_a_process_of_a_pool_ends_when_its_run_is_killed(tmp_path: Any) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command, pipe = [sys.executable, str(script)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive, "the process waits for work that never comes"
