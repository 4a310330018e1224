"""Engines: pooled connections that speak UTC, and errors of our own tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError

from lib.errors import DatabaseUnavailable, EnvironmentRefused

DISK_FULL = {"53100", "53200"}  # SQLSTATE disk_full, out_of_memory

# How every engine connects, also the one that a Prefect block makes.
ENGINE_OPTIONS: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 5}
CONNECT_ARGS: dict[str, Any] = {"connect_timeout": 5, "options": "-c timezone=UTC", "application_name": "fks"}


def make_engine(url: str) -> Engine:
    """Return a pooled engine for a ``postgresql://`` URL; nothing is connected yet.

    A connection that died while idle (a restarted server) is noticed and replaced before use.
    """
    return create_engine(url, connect_args=CONNECT_ARGS, **ENGINE_OPTIONS)


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Translate the driver's errors while `doing` something ("storing candles of BTC/USDT 1h").

    Raises:
        DatabaseUnavailable: The server refused or lost the connection.
        EnvironmentRefused: The database's disk is full.
    """
    try:
        yield
    except (DBAPIError, psycopg2.Error) as error:  # COPY goes through the driver's own cursor
        cause = error.orig if isinstance(error, DBAPIError) else error
        sqlstate = getattr(cause, "pgcode", None)
        if sqlstate in DISK_FULL:
            raise EnvironmentRefused(
                f"The database's disk is full while {doing}. Free space there; the next run carries on."
            ) from error
        # A connection that dies inside a COPY is a bare DatabaseError without a code.
        lost = isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError) or (
            type(cause) is psycopg2.DatabaseError and sqlstate is None
        )
        if lost or (sqlstate or "").startswith(("08", "57P")):
            raise DatabaseUnavailable(
                f"The database went away while {doing}. It is tried again; if it stays away, see `fks status`."
            ) from error
        raise
