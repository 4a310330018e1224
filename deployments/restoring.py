"""Restoring a backup: into new databases, proved, and only then put in the place of the present ones, which stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import URL, make_url

from deployments import postgres
from deployments.backup import Dump, connect, count_rows, load_manifest, run_client
from deployments.halting import find_user
from lib.adapters.database.schema import check_known
from lib.errors import EnvironmentRefused, OperatorError
from lib.execution.halt import VARIABLE, Halt

PREFECT = "prefect"
OLDEST_SERVER = 170000  # pg_restore 18 sets transaction_timeout, which 16 does not know
TIMESCALE = "timescaledb"


@dataclass(frozen=True)
class Restored:
    """What was restored.

    Attributes:
        taken_at: When the backup was taken.
        rows: Of each restored database by its name in the backup.
        kept: The names that the databases of before have now.
        is_halted: Whether trading is halted until a person releases it.
    """

    taken_at: datetime
    rows: dict[str, int]
    kept: tuple[str, ...]
    is_halted: bool


def restore(backup: Path, databases: Mapping[str, str]) -> Restored:
    """Put a backup in the place of these databases.

    What happened after the backup is unknown to it, orders among them: trading is halted in the Prefect server's
    variables, so that a person compares first.

    Args:
        backup: The folder that `back_up` made.
        databases: URL of each by its name in the backup; one that does not exist yet is made.

    Raises:
        OperatorError: It is no backup, has none of these databases, or needs TimescaleDB's own way.
        EnvironmentRefused: Somebody works on a database, newer code made the backup, the server is too old, or what
            came back is not what was dumped. The present databases are untouched.
        DatabaseUnavailable: The server refuses the connection.
    """
    manifest = load_manifest(backup)
    wanted = {name: make_url(url) for name, url in databases.items() if name in manifest.dumps}
    if not wanted:
        raise OperatorError(f"{backup} has {', '.join(manifest.dumps)}, none of {', '.join(databases)}.")
    for name, url in wanted.items():
        _check(manifest.dumps[name], url)
    for name, url in wanted.items():
        _load(backup / f"{name}.dump", _side_of(url), manifest.dumps[name])
    if PREFECT in wanted:
        halt = Halt(f"restored from the backup of {manifest.taken_at:%Y-%m-%d %H:%M} UTC", find_user(), _now())
        with (
            closing(connect(_render(_side_of(wanted[PREFECT])))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            save_halt(cursor, halt)
    kept = [before for url in wanted.values() if (before := _swap(url))]
    rows = {name: sum(manifest.dumps[name].rows.values()) for name in wanted}
    return Restored(manifest.taken_at, rows, tuple(kept), PREFECT in wanted)


def save_halt(cursor: psycopg2.extensions.cursor, halt: Halt) -> None:
    """Set the trading halt in the Prefect server's own table, while no server runs that could be asked to."""
    cursor.execute(
        "INSERT INTO variable (name, value, tags) VALUES (%s, %s, '[]') "
        "ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, updated = now()",
        (VARIABLE, json.dumps(halt.to_value())),
    )


def _check(dump: Dump, url: URL) -> None:
    if TIMESCALE in dump.extensions:
        raise OperatorError(
            "The backup is of a database with TimescaleDB; docs/production.md has the way to restore it."
        )
    check_known(dump.revision)
    with closing(connect(_render(url.set(database="postgres")))) as connection, connection.cursor() as cursor:
        if connection.server_version < OLDEST_SERVER:
            raise EnvironmentRefused(
                f"Expected PostgreSQL {OLDEST_SERVER // 10000} or newer, was {connection.server_version // 10000}. "
                "Restore by hand (docs/production.md, Backup and restore)."
            )
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (url.database,))
        ((busy,),) = cursor.fetchall()
    if busy:
        raise EnvironmentRefused(
            f"{busy} connections to the database {url.database} are open. Stop the stack, or server and workers, first."
        )


def _load(file: Path, side: URL, dump: Dump) -> None:
    """Load a dump into a new database, and compare every table's rows with those of the snapshot it was made of."""
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(_name(side))
    _run(side, drop)
    try:
        _fill(file, side, dump)
    except BaseException:
        _run(side, drop)
        raise


def _fill(file: Path, side: URL, dump: Dump) -> None:
    postgres.ensure_database(_render(side.set(database="postgres")), str(side.database), "template0")
    run_client(["pg_restore", "--exit-on-error", "--no-owner", "--no-acl", str(file)], _render(side))
    with closing(connect(_render(side))) as connection, connection.cursor() as cursor:
        rows = count_rows(cursor)
    if rows != dump.rows:
        wrong = sorted(name for name in {*rows, *dump.rows} if rows.get(name) != dump.rows.get(name))
        raise EnvironmentRefused(
            f"{file} gave other rows than were dumped in {', '.join(wrong)}. Take an older backup."
        )


def _swap(url: URL) -> str | None:
    """Put the restored database in its place; returns the name that the one of before has now."""
    with closing(connect(_render(url.set(database="postgres")))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (url.database,))
        before = f"{url.database}_before_{_now():%Y%m%d%H%M%S}" if cursor.fetchall() else None
    if before:
        _run(url, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(_name(url), sql.Identifier(before)))
    _run(url, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(_name(_side_of(url)), _name(url)))
    return before


def _run(url: URL, statement: sql.Composed) -> None:
    connection = connect(_render(url.set(database="postgres")))
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)


def _side_of(url: URL) -> URL:
    return url.set(database=f"{url.database}_restoring")


def _name(url: URL) -> sql.Identifier:
    return sql.Identifier(str(url.database))


def _render(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _now() -> datetime:
    return datetime.now(UTC)
