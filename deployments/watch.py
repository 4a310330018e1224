"""The watch over a running stack: what crashed is reported and started again, until it crashes too often."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from deployments import postgres
from deployments.processes import CRASHES_ALLOWED, Child, Crashes, last_lines
from deployments.stack import SERVER, Stack

HEALTH_EVERY_SECONDS = 10.0
UNHEALTHY_SECONDS = 60.0


class Watch:
    """Looks after one stack; `look` is to be called every second."""

    def __init__(self, stack: Stack, now: Callable[[], float] = time.monotonic) -> None:
        self._stack = stack
        self._now = now
        self._crashes = {name: Crashes(name, child.log) for name, child in stack.children.items()}
        self._database_crashes = Crashes("PostgreSQL", stack.folder / "postgres" / "cluster" / "log")
        self._due: dict[str, float] = defaultdict(float)
        self._healthy_at = self._asked_at = now()

    def look(self) -> None:
        """Look at everything once.

        Raises:
            GaveUp: A program crashed too often.
            EnvironmentRefused: PostgreSQL cannot start again.
        """
        self._check_database()
        for child in self._stack.children.values():
            self._check(child)
            child.rotate_log()
        self._check_health()

    def _check(self, child: Child) -> None:
        if child.exit_code is None and child.process is not None:
            return
        if child.process is not None:
            self._note_crash(child, f"ended with code {child.exit_code}")
        elif self._now() >= self._due[child.name]:
            child.start()
            self._stack.save_record()
            if child.name == SERVER:
                self._healthy_at = self._now()

    def _note_crash(self, child: Child, how: str) -> None:
        child.process = None
        count = self._crashes[child.name].count(self._now())
        wait = 2**count
        self._due[child.name] = self._now() + wait
        self._stack.display.crash(
            f"{child.name} {how}. Starting it again in {wait} s (crash {count} of {CRASHES_ALLOWED} allowed).",
            child.log,
            last_lines(child.log),
        )

    def _check_database(self) -> None:
        server = self._stack.postgres_server
        if server is None or postgres.find_running(server.data_dir):
            return
        if postgres.start(server.data_dir, server.port).adopted:
            return  # it was only slow to answer
        count = self._database_crashes.count(self._now())
        log = postgres.newest_log(server.data_dir)
        self._stack.display.crash(
            f"PostgreSQL had ended and was started again (crash {count} of {CRASHES_ALLOWED} allowed).",
            log,
            last_lines(log),
        )

    def _check_health(self) -> None:
        """End a Prefect server that is alive and does not answer, so that it is started again."""
        now = self._now()
        if now - self._asked_at < HEALTH_EVERY_SECONDS:
            return
        self._asked_at = now
        child = self._stack.children[SERVER]
        with self._stack.api as api:
            if child.process is None or api.is_healthy():
                self._healthy_at = now
        if now - self._healthy_at > UNHEALTHY_SECONDS:
            child.stop(5)
            self._note_crash(child, f"did not answer for {UNHEALTHY_SECONDS:g} s")
