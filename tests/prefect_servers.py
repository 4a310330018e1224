"""A real Prefect server for tests marked `stack`, on the session's PostgreSQL, and a worker where one is wanted.

All `stack` tests are in one xdist group, so one worker process starts one server for all of them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments import environment, postgres
from deployments.addresses import Addresses
from deployments.prefect_api import PrefectApi
from deployments.processes import Child
from lib.settings import PROJECT_ROOT

PREFECT = (sys.executable, "-m", "prefect")


def wait_until(what: str, is_true: Callable[[], object], seconds: float = 60) -> None:
    """Ask again and again until it is true.

    Raises:
        TimeoutError: When it is not within `seconds`; names `what`.
    """
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class PrefectServer:
    """A running server.

    Attributes:
        env: Environment of a program that talks to it.
    """

    api: PrefectApi
    ui_url: str
    env: dict[str, str]
    home: Path

    def run_python(self, program: str, *arguments: str) -> str:
        """Run Python source in a process of its own that talks to this server; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env=self.env,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def worker(self, name: str, env: dict[str, str] | None = None) -> Iterator[Child]:
        """Run a worker of the pool `fks`; `env` in place of the server's own for it and its runs."""
        command = [*PREFECT, "worker", "start", "--pool", "fks", "--name", name]
        usual = environment.worker_environment(self.env) | {"PREFECT_WORKER_HEARTBEAT_SECONDS": "3"}
        child = Child(name, command, env or usual, self.home / f"{name}.log")
        child.start()
        try:
            yield child
        finally:
            child.stop(10)


@pytest.fixture(scope="session")
def prefect_server(database_server: postgres.Server, session_home: Path) -> Iterator[PrefectServer]:
    """The session's Prefect server, with an empty database and a scheduler that looks every few seconds."""
    home = session_home / f"prefect-{os.getpid()}"
    addresses = Addresses(prefect_port=free_port(), simulator_port=None)
    base = environment.base_environment(home, addresses)
    (home / "tmp").mkdir(parents=True)
    name = f"prefect_{os.getpid()}"
    database_server.ensure_database(name)
    env = environment.server_environment(base, database_server.url(name, "asyncpg"))
    env |= {
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "5",
        "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "2",
    }
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(addresses.prefect_port)]
    child = Child("prefect-server", command, env, home / "server.log")
    child.start()
    try:
        with PrefectApi(addresses.api_url) as api:
            wait_until("the Prefect server is healthy", api.is_healthy)
            yield PrefectServer(api, addresses.ui_url, base, home)
    finally:
        child.stop(10)
