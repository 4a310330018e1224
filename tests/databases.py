"""Databases for tests: one real PostgreSQL server a session, a database of its own for each test.

The server is shared by all pytest-xdist workers and stopped when the session ends. What a killed session left behind is
stopped by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from deployments import postgres

TEMPLATE = "migrated"
FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the session's folder in the main process; workers are told it."""
    given = getattr(config, "workerinput", {}).get("session_home")
    config.stash[FOLDER] = Path(given) if given else session_folder()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a pytest-xdist worker the session's folder."""
    node.workerinput["session_home"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the session started, once all workers are done."""
    if not hasattr(config, "workerinput"):
        remove(config.stash[FOLDER])


def session_folder() -> Path:
    """Return the folder of this pytest session, named after its process, and remove those of dead ones."""
    parent = Path(tempfile.gettempdir()) / f"fks-tests-{os.getuid()}"
    parent.mkdir(mode=0o755, exist_ok=True)
    for other in parent.iterdir():
        if not _is_alive(other.name):
            remove(other)
    folder = parent / f"{os.getpid()}-{psutil.Process().create_time():.0f}"
    folder.mkdir(exist_ok=True)
    return folder


def remove(folder: Path) -> None:
    """Stop the server of a session and remove its folder."""
    if (folder / "postgres").exists():
        postgres.stop(folder / "postgres")
    shutil.rmtree(folder, ignore_errors=True)


def _is_alive(name: str) -> bool:
    pid, _, created = name.partition("-")
    with contextlib.suppress(psutil.NoSuchProcess):
        return f"{psutil.Process(int(pid)).create_time():.0f}" == created
    return False


@contextlib.contextmanager
def new_database(server: postgres.Server, template: str = "template1") -> Iterator[str]:
    """Make a database with a name of its own, give its URL, drop it afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    server.ensure_database(name, template)
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


def ensure_migrated(server: postgres.Server) -> None:
    """Make the migrated database that tests are cloned from, once a session."""
    from lib.adapters.database import migrate  # tests without a database need not import it

    done = server.data_dir / "migrated"
    with (server.data_dir / "migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            server.drop_database(TEMPLATE)
            server.ensure_database(TEMPLATE)
            migrate.upgrade(server.url(TEMPLATE))
            done.touch()


@pytest.fixture(scope="session")
def session_home(pytestconfig: pytest.Config) -> Path:
    """The folder that all workers of this session share; servers under other accounts can enter it."""
    return pytestconfig.stash[FOLDER]


@pytest.fixture(scope="session")
def database_server(session_home: Path) -> postgres.Server:
    """The session's server; not durable."""
    return postgres.start(session_home / "postgres", durable=False)


@pytest.fixture(scope="session")
def migrated_server(database_server: postgres.Server) -> postgres.Server:
    """The session's server with the migrated template in it."""
    ensure_migrated(database_server)
    return database_server


@pytest.fixture
def empty_database_url(database_server: postgres.Server) -> Iterator[str]:
    """URL of a fresh database without any table."""
    with new_database(database_server) as url:
        yield url


@pytest.fixture
def database_url(migrated_server: postgres.Server) -> Iterator[str]:
    """URL of a fresh database with every migration applied."""
    with new_database(migrated_server, TEMPLATE) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Of a fresh database with every migration applied."""
    from lib.adapters.database.engine import make_engine  # tests without a database need not import it

    engine = make_engine(database_url)
    yield engine
    engine.dispose()
