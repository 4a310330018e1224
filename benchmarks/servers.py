"""What the benchmarks run against: a PostgreSQL server as `fks up` has it, and the simulator as its own process."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from deployments import postgres
from deployments.processes import Child, last_lines
from lib.adapters.database import migrate

READY_SECONDS = 60.0
PRODUCTION_WEIGHT = 6000
UNLIMITED_WEIGHT = 10**9  # to find the server's own limit


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that servers under other accounts can enter, and remove it."""
    with tempfile.TemporaryDirectory(prefix="fks-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def running_database() -> Iterator[str]:
    """Run a durable server with an empty, migrated database, and give its URL."""
    with temporary_folder() as folder:
        server = postgres.start(folder / "postgres")
        try:
            server.ensure_database("fks")
            url = server.url("fks")
            migrate.upgrade(url)
            yield url
        finally:
            postgres.stop(folder / "postgres")


@dataclass(frozen=True)
class Simulator:
    """A simulator that serves.

    Attributes:
        url: Its root.
        process: For its processor time.
    """

    url: str
    process: psutil.Process

    def load_statistics(self) -> dict[str, Any]:
        """Return its counts since the last reset."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/control/stats", trust_env=False).raise_for_status().json()
        return answer

    def reset_usage(self) -> None:
        """Forget used weight and counts, so that the next measurement starts a fresh minute."""
        httpx.post(f"{self.url}/control/usage/reset", json={}, trust_env=False).raise_for_status()

    def set_clock(self, to: datetime) -> None:
        """Move exchange time, of a simulator that was started with a clock to be driven."""
        httpx.post(f"{self.url}/control/clock/set", json={"at": to.isoformat()}, trust_env=False).raise_for_status()

    def load_symbols(self) -> list[str]:
        """Return the names of its symbols as "BTC/USDT", in order."""
        answer = httpx.get(f"{self.url}/api/v3/exchangeInfo", timeout=30, trust_env=False).raise_for_status().json()
        return [f"{row['baseAsset']}/{row['quoteAsset']}" for row in answer["symbols"]]


@contextmanager
def running_simulator(
    symbols: int, weight_limit: int = PRODUCTION_WEIGHT, clock: datetime | None = None
) -> Iterator[Simulator]:
    """Run a simulator in a process of its own, on a free port; with `clock` its time only moves when it is told to."""
    with temporary_folder() as folder:
        options = ["--port", "0", "--symbols", str(symbols), "--weight-limit", str(weight_limit)]
        options += ["--clock", f"{clock:%Y-%m-%dT%H:%M:%S}"] if clock else []
        command = [sys.executable, "-m", "deployments", "simulator", *options]
        child = Child("simulator", command, {**os.environ, "PYTHONUNBUFFERED": "1"}, folder / "simulator.log")
        child.start()
        try:
            assert child.process is not None
            yield Simulator(_wait_for_address(child), psutil.Process(child.process.pid))
        finally:
            child.stop()


def calc_cpu_seconds(process: psutil.Process) -> float:
    """Return the processor seconds of a process so far, user and system."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _wait_for_address(child: Child) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while child.exit_code is None and time.monotonic() < deadline:
        address = next((line.split()[-1] for line in last_lines(child.log) if "http://" in line), None)
        if address:
            return address
        time.sleep(0.05)
    raise RuntimeError("\n".join(["The simulator did not come up.", *last_lines(child.log)]))
