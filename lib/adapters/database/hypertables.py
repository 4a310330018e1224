"""TimescaleDB, where the server has it: the tables that grow with time become hypertables; everything else is the same.

Their chunks are compressed when they are old, and dropped when nothing is left in them. There is no retention policy:
it would drop what no archive has (decision D42).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg2.errors import FeatureNotSupported
from sqlalchemy import Connection, Engine, Row, TextClause, text
from sqlalchemy.exc import DBAPIError

from lib.adapters.database.engine import LOCK_NOT_AVAILABLE, database_errors, make_engine

logger = logging.getLogger(__name__)


class Hypertable(NamedTuple):
    """A table that grows with time; its primary key contains `time`, as TimescaleDB wants of unique keys.

    Attributes:
        name: Of the table.
        time: Its column of time.
        series: The columns by which it is read, each group of which is compressed by itself.
    """

    name: str
    time: str
    series: str


HYPERTABLES = (
    Hypertable("candles", "opened_at", "symbol, timeframe"),
    Hypertable("indicators", "opened_at", "symbol, timeframe"),
    Hypertable("balance_history", "at", "account"),
)
CHUNK = "30 days"  # some millions of rows for 500 symbols, and one or two months of the archive
COMPRESSED_AFTER = "90 days"  # older rows hardly change: what is recomputed or refetched is nearly always newer
LOCK = 0x464B53_0008  # two starts at once make them once
AVAILABLE = text("SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'timescaledb'")
INSTALLED = text("SELECT count(*) > 0 FROM pg_extension WHERE extname = 'timescaledb'")
SIZES = text("""
    SELECT hypertable_name AS name, hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)) AS size_bytes,
        approximate_row_count(format('%I.%I', hypertable_schema, hypertable_name)::regclass) AS rows
    FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'
""")
CHUNKS = text("""
    SELECT format('%I.%I', chunk_schema, chunk_name) AS name, range_start, range_end
    FROM timescaledb_information.chunks WHERE hypertable_name = :name AND hypertable_schema = 'public'
    ORDER BY range_start
""")


class HypertableSize(NamedTuple):
    """How large a hypertable is with all its chunks, about how many rows it has."""

    name: str
    size_bytes: int
    rows: int


def ensure_hypertables(url: str) -> bool:
    """Make hypertables of a migrated database's tables with all that is in them; True when there are any afterwards.

    May be called again, and on a server that has no TimescaleDB, or does not let us use it: tables stay plain then.
    Rows are moved under a lock on their table; a hundred million of them take minutes.
    """
    engine = make_engine(url)
    try:
        if not _has_extension(engine):
            return False
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            for one in HYPERTABLES:
                _make(connection, one)
        for one in HYPERTABLES:
            _compress(engine, one)
        return True
    finally:
        engine.dispose()


def _has_extension(engine: Engine) -> bool:
    """Create the extension if that can be; whoever may not, or whose server does not load it, is told why."""
    with database_errors("looking for TimescaleDB"), engine.connect() as connection:
        if connection.scalar(INSTALLED):
            return True
        if not connection.scalar(AVAILABLE):
            return False
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
    except DBAPIError as error:  # not preloaded, or no right to: plain tables do everything, too
        logger.warning(
            "The server has TimescaleDB, and it cannot be used: %s. Tables stay plain. Put timescaledb into "
            "shared_preload_libraries, or let a superuser run CREATE EXTENSION timescaledb; `fks migrate` tries again.",
            str(error.orig).strip().partition("\n")[0],
        )
        return False
    return True


def _make(connection: Connection, one: Hypertable) -> None:
    connection.execute(
        text(
            "SELECT create_hypertable(:name, by_range(:time, CAST(:chunk AS interval)), "
            "create_default_indexes => false, if_not_exists => true, migrate_data => true)"
        ),
        {"name": one.name, "time": one.time, "chunk": CHUNK},
    )


def _compress(engine: Engine, one: Hypertable) -> None:
    """Have chunks compressed that are old; TimescaleDB's free edition alone cannot."""
    policy = text("SELECT add_compression_policy(:name, CAST(:after AS interval), if_not_exists => true)")
    is_on = text(
        "SELECT compression_enabled FROM timescaledb_information.hypertables "
        "WHERE hypertable_name = :name AND hypertable_schema = 'public'"
    )
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            if not connection.scalar(is_on, {"name": one.name}):
                connection.execute(
                    text(
                        f"ALTER TABLE {one.name} SET (timescaledb.compress, "
                        f"timescaledb.compress_segmentby = '{one.series}', timescaledb.compress_orderby = '{one.time}')"
                    )
                )
            connection.execute(policy, {"name": one.name, "after": COMPRESSED_AFTER})
    except DBAPIError as error:
        if not isinstance(error.orig, FeatureNotSupported):
            raise
        logger.warning("TimescaleDB's edition on this server does not compress; %s stays as it is.", one.name)


def drop_empty_chunks(engine: Engine, table: str) -> int:
    """Drop the chunks of a table in which nothing is left; return how many. None on a plain table.

    What is in the archive was deleted from the table row by row, after its file was read back. A chunk is locked and
    looked into before it goes: a row that came meanwhile keeps it. One that is in use goes the next time.
    """
    if table not in {one.name for one in HYPERTABLES}:
        return 0
    with database_errors(f"looking for empty chunks of {table}"), engine.connect() as connection:
        if not connection.scalar(INSTALLED):
            return 0
        chunks = connection.execute(CHUNKS, {"name": table}).all()
        empty = [chunk for chunk in chunks if connection.scalar(_ask_empty(chunk.name))]
    return sum(_drop_if_empty(engine, table, chunk) for chunk in empty)


def _drop_if_empty(engine: Engine, table: str, chunk: Row[Any]) -> bool:
    drop = text("SELECT drop_chunks(:table, older_than => :end, newer_than => :start)")
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '2s'"))
            connection.execute(text(f"LOCK TABLE {chunk.name} IN ACCESS EXCLUSIVE MODE"))
            if not connection.scalar(_ask_empty(chunk.name)):
                return False
            connection.execute(drop, {"table": table, "start": chunk.range_start, "end": chunk.range_end})
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _ask_empty(chunk: str) -> TextClause:
    return text(f"SELECT NOT EXISTS (SELECT FROM {chunk})")  # noqa: S608 the catalogue's own name


def measure_hypertables(connection: Connection) -> Sequence[HypertableSize]:
    """Return the sizes of the hypertables, which lie in their chunks; nothing on a server without TimescaleDB."""
    if not connection.scalar(INSTALLED):
        return ()
    return [HypertableSize(*row) for row in connection.execute(SIZES)]
