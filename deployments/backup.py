"""Backups of the two databases: written by pg_dump from one instant, and proved by counting every table's rows.

::

    <backup>/fks.dump        ours: candles, ledger, orders, messages
    <backup>/prefect.dump    the Prefect server's: runs, blocks (encrypted), the trading halt
    <backup>/manifest.json   when, of which version, and how many rows each table has; written last

Each dump is read from a snapshot of its own, a moment apart. A folder without a manifest is half a backup.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.engine import URL, make_url

from deployments.postgres_programs import find_programs
from lib.code_version import find_code_version
from lib.errors import DatabaseUnavailable, EnvironmentRefused, OperatorError

MANIFEST = "manifest.json"
TABLES = """
    SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname NOT LIKE '\\_timescaledb%' ORDER BY 1, 2
"""


class Dump(BaseModel):
    """One database of a backup.

    Attributes:
        revision: Of its tables; None where they are not ours.
        extensions: Beside PostgreSQL's own language.
        rows: Of each table, by "schema.table".
    """

    model_config = ConfigDict(frozen=True)

    revision: str | None
    extensions: tuple[str, ...]
    rows: dict[str, int]


class Manifest(BaseModel):
    """What a backup has."""

    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    code_version: str
    dumps: dict[str, Dump]


def back_up(databases: Mapping[str, str], folder: Path) -> Path:
    """Write a backup into a new folder below `folder`, readable by us alone; returns it.

    Args:
        databases: URL of each database by its name in the backup.
        folder: Where backups are kept; made if missing.

    Raises:
        DatabaseUnavailable: A server refuses the connection.
        EnvironmentRefused: pg_dump failed; its words are in the message. What was written is removed.
    """
    taken_at = datetime.now(UTC)
    place = folder / f"fks-{taken_at:%Y%m%dT%H%M%SZ}"
    folder.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700)
    try:
        dumps = {name: _dump(url, place / f"{name}.dump") for name, url in databases.items()}
    except BaseException:
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
        raise
    manifest = Manifest(taken_at=taken_at, code_version=find_code_version(), dumps=dumps)
    _open_own(place / MANIFEST).close()
    (place / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return place


def load_manifest(backup: Path) -> Manifest:
    """Return what a backup has.

    Raises:
        OperatorError: It is no backup, or was not finished.
    """
    try:
        return Manifest.model_validate_json((backup / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise OperatorError(f"{backup} is no finished backup: {MANIFEST} cannot be read. Take another one.") from error


def remove_old(folder: Path, keep: int) -> list[Path]:
    """Remove all backups of a folder but the newest `keep`; returns what was removed."""
    finished = sorted(path.parent for path in folder.glob(f"fks-*/{MANIFEST}"))
    old = finished[:-keep]
    for backup in old:
        (backup / MANIFEST).unlink()  # first: what is left of a backup must not look like one
        for file in backup.iterdir():
            file.unlink()
        backup.rmdir()
    return old


def _dump(url: str, file: Path) -> Dump:
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        cursor.execute("SELECT pg_export_snapshot()")
        ((snapshot,),) = cursor.fetchall()
        with _open_own(file) as output:
            command = ["pg_dump", "--format=custom", "--no-owner", "--no-acl", "--lock-wait-timeout=60s"]
            run_client([*command, f"--snapshot={snapshot}"], url, stdout=output.fileno())
        return Dump(revision=read_revision(cursor), extensions=_read_extensions(cursor), rows=count_rows(cursor))


def _open_own(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def connect(url: str) -> psycopg2.extensions.connection:
    """Connect to a database.

    Raises:
        DatabaseUnavailable: The server refuses the connection.
    """
    try:
        return psycopg2.connect(url, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailable(f"PostgreSQL refused the connection: {error}") from error


def count_rows(cursor: psycopg2.extensions.cursor) -> dict[str, int]:
    """Return how many rows each table has."""
    cursor.execute(TABLES)
    counts = {}
    for schema, table in cursor.fetchall():
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
        ((count,),) = cursor.fetchall()
        counts[f"{schema}.{table}"] = int(count)
    return counts


def read_revision(cursor: psycopg2.extensions.cursor) -> str | None:
    """Return the revision of our tables; None where they are not ours."""
    cursor.execute("SELECT to_regclass('market_source') IS NOT NULL AND to_regclass('alembic_version') IS NOT NULL")
    ((ours,),) = cursor.fetchall()
    if not ours:
        return None
    cursor.execute("SELECT version_num FROM alembic_version")
    return next((str(revision) for (revision,) in cursor.fetchall()), None)


def _read_extensions(cursor: psycopg2.extensions.cursor) -> tuple[str, ...]:
    cursor.execute("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
    return tuple(str(name) for (name,) in cursor.fetchall())


def run_client(command: list[str], url: str, stdout: int = subprocess.DEVNULL) -> None:
    """Run a program of PostgreSQL against a database; the password is in its environment, not on its command line.

    Raises:
        EnvironmentRefused: It failed; its words are in the message.
    """
    place = make_url(url)
    password = {"PGPASSWORD": place.password} if place.password else {}
    named = URL.create(place.drivername, place.username, None, place.host, place.port, place.database, place.query)
    done = subprocess.run(
        [str(find_programs().folder / command[0]), *command[1:], f"--dbname={named.render_as_string()}"],
        env={"PATH": os.defpath, "HOME": "/", "LC_ALL": "C", "TZ": "UTC", **password},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EnvironmentRefused(f"{command[0]} failed:\n{done.stderr.strip()}")
