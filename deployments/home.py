"""The stack's home folder: who runs it (a lock that dies with its holder), and what runs in it.

::

    <home>/postgres/    the database (see postgres_data)
    <home>/prefect/     PREFECT_HOME of every Prefect process
    <home>/simulator/   the simulator's books
    <home>/logs/        one log a program
    <home>/tmp/         TMPDIR of every program
    <home>/reports/, <home>/archive/, <home>/backtests/, <home>/backups/
    <home>/stack.lock   held by the running `fks up`
    <home>/stack.json   what that one started
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from deployments.processes import end_tree
from lib.errors import EnvironmentRefused, FksError

# What tells of accounts and trades is not for other users of the machine. `postgres` has rights of its own.
PRIVATE = ("prefect", "simulator", "logs", "tmp", "reports", "archive", "backtests", "backups")


class AlreadyRunning(FksError):
    """Another `fks up` holds this home."""


class ProcessRecord(BaseModel):
    """A process, told from a later one with the same id by the instant it was created."""

    model_config = ConfigDict(frozen=True)

    pid: int
    created: float

    @classmethod
    def of(cls, process: psutil.Process | psutil.Popen) -> ProcessRecord:
        """Describe a live process."""
        return cls(pid=process.pid, created=process.create_time())

    def find(self) -> psutil.Process | None:
        """Return the process if it is still alive."""
        try:
            process = psutil.Process(self.pid)
            alive = process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class StackRecord(BaseModel):
    """What a running stack tells `fks status` and the next start."""

    model_config = ConfigDict(frozen=True)

    supervisor: ProcessRecord
    started_at: datetime
    ui_url: str
    postgres: str
    simulator_url: str | None
    children: dict[str, ProcessRecord]


@contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """Hold the home for one stack. The system frees the lock when its holder ends, however it ends.

    Raises:
        AlreadyRunning: Another stack holds it.
        EnvironmentRefused: The folder cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "stack.lock").open("a+")
    except OSError as error:
        raise EnvironmentRefused(
            f"The home folder {home} cannot be written ({error.strerror}). "
            "Make it writable, or set FKS_HOME to a folder that is."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(
                f"The stack in {home} runs already (process {lock.read().strip() or 'unknown'}). "
                "`fks status` shows it; Ctrl-C there, or `kill <process>`, stops it. "
                "For a second stack set FKS_HOME to another folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def make_folders(home: Path) -> Path:
    """Make the home and its folders, closed to other users; one that is there keeps its rights. Returns the home."""
    for name in PRIVATE:
        (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def save_record(home: Path, record: StackRecord) -> None:
    """Write the record so that a reader sees the old or the new one, never half of one."""
    side = home / "stack.json.new"
    side.touch(mode=0o600)
    side.write_text(record.model_dump_json(indent=1), encoding="utf-8")
    side.replace(home / "stack.json")


def load_record(home: Path) -> StackRecord | None:
    """Return the last record, or None where there is none that can be read."""
    try:
        return StackRecord.model_validate_json((home / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def remove_record(home: Path) -> None:
    """Remove the record: nothing runs."""
    (home / "stack.json").unlink(missing_ok=True)


def end_leftovers(home: Path) -> list[str]:
    """End what a killed `fks up` left running; returns the names. Only for who holds the home."""
    record = load_record(home)
    left = {name: child.find() for name, child in record.children.items()} if record else {}
    for process in left.values():
        if process is not None:
            end_tree(process)
    remove_record(home)
    return [name for name, process in left.items() if process is not None]
