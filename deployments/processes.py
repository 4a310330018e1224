"""Supervised child processes: their logs, their end, and how often they may crash."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lib.errors import EnvironmentRefused

LOG_BYTES = 10 * 2**20
LOG_COPIES = 3
STOP_SECONDS = 30.0
CRASHES_ALLOWED = 5
CRASH_WINDOW_SECONDS = 300.0


class GaveUp(EnvironmentRefused):
    """A program that crashes too often to be restarted again."""


@dataclass
class Crashes:
    """How often one program crashed lately."""

    name: str
    log: Path
    times: deque[float] = field(default_factory=deque)

    def count(self, now: float) -> int:
        """Note a crash; returns how many there were within the window.

        Args:
            now: Seconds of a clock that never goes back.

        Raises:
            GaveUp: When there were more than allowed.
        """
        self.times.append(now)
        while self.times[0] < now - CRASH_WINDOW_SECONDS:
            self.times.popleft()
        if len(self.times) > CRASHES_ALLOWED:
            raise GaveUp(
                f"{self.name} crashed {len(self.times)} times within {CRASH_WINDOW_SECONDS / 60:g} minutes, "
                f"so the stack stops. The reason is at the end of {self.log}."
            )
        return len(self.times)


@dataclass
class Child:
    """One program that must keep running.

    Attributes:
        environment: All of its environment; nothing is inherited beside it.
        log: Where its output goes; a full one is moved aside, `LOG_COPIES` are kept.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: psutil.Popen | None = None

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the supervisor, which stops all in order."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = psutil.Popen(
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that ended, else None."""
        return None if self.process is None else self.process.poll()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to end; after `seconds` end it and what it started."""
        if self.process is not None:
            end_tree(self.process, seconds)
        self.process = None

    def rotate_log(self) -> None:
        """Copy a full log aside and empty it; the process goes on writing to the same file, at its end."""
        if not self.log.exists() or self.log.stat().st_size < LOG_BYTES:
            return
        for number in range(LOG_COPIES - 1, 0, -1):
            older = self.log.with_name(f"{self.log.name}.{number}")
            if older.exists():
                older.replace(self.log.with_name(f"{self.log.name}.{number + 1}"))
        with suppress(OSError):  # on a full disk the old lines go, so that there is room for new ones
            shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
        with self.log.open("r+b") as file:
            file.truncate(0)


def last_lines(log: Path, count: int = 15) -> list[str]:
    """Return the end of a log; empty where there is none."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        return file.read().decode("utf-8", errors="replace").splitlines()[-count:]


def end_tree(process: psutil.Process | psutil.Popen, seconds: float = STOP_SECONDS) -> None:
    """Send SIGTERM; after `seconds` kill what is left of the process and of all it started."""
    try:
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
    except psutil.NoSuchProcess:
        return
    _, alive = psutil.wait_procs([process], seconds)
    _, alive = psutil.wait_procs(family, 1 if alive else 5)
    for left in alive:
        left.kill()
    psutil.wait_procs(alive, 5)
