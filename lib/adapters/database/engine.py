"""Engines: pooled connections that speak UTC, and errors of our own tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError

from lib.errors import DatabaseUnavailable, EnvironmentRefused

DISK_FULL = "53100"  # SQLSTATE disk_full
LOCK_NOT_AVAILABLE = "55P03"

# How every engine connects, also the one that a Prefect block makes.
ENGINE_OPTIONS: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 5}
# No wait is endless: neither for a lock that a frozen process holds, nor for a server that vanished without a word.
CONNECT_ARGS: dict[str, Any] = {
    "application_name": "fks",
    "connect_timeout": 5,
    "options": "-c timezone=UTC -c lock_timeout=60s -c idle_in_transaction_session_timeout=120s",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def make_engine(url: str) -> Engine:
    """Return a pooled engine for a ``postgresql://`` URL; nothing is connected yet.

    A connection that died while idle (a restarted server) is noticed and replaced before use.
    """
    return create_engine(url, connect_args=CONNECT_ARGS, **ENGINE_OPTIONS)


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Translate the driver's errors while `doing` something ("storing candles of BTC/USDT 1h").

    Raises:
        DatabaseUnavailable: The server refused or lost the connection, or a lock was not to be had.
        EnvironmentRefused: The database's disk is full.
    """
    try:
        yield
    except (DBAPIError, psycopg2.Error) as error:  # COPY goes through the driver's own cursor
        cause = error.orig if isinstance(error, DBAPIError) else error
        sqlstate = getattr(cause, "pgcode", None)
        if sqlstate == DISK_FULL:
            raise EnvironmentRefused(
                f"The database's disk is full while {doing}. Free space there; the next run carries on."
            ) from error
        # A connection that dies inside a COPY is a bare DatabaseError without a code.
        lost = isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError) or (
            type(cause) is psycopg2.DatabaseError and sqlstate is None
        )
        if sqlstate == LOCK_NOT_AVAILABLE:
            raise DatabaseUnavailable(f"Another process held what was needed for {doing} for a minute.") from error
        if lost or (sqlstate or "").startswith(("08", "57P")):
            raise DatabaseUnavailable(
                f"The database went away while {doing}. It is tried again; if it stays away, see `fks status`."
            ) from error
        raise
