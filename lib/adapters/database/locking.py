"""Connections that hold advisory locks. Locks and writes share one: who has lost the locks cannot write any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from lib.adapters.database.engine import database_errors
from lib.errors import DatabaseUnavailable


@contextmanager
def open_locking(engine: Engine, doing: str) -> Iterator[Connection]:
    """Give a connection for advisory locks, and give it back without them.

    They need a session of the server: no transaction pooler between.

    Raises:
        DatabaseUnavailable: The server refuses the connection.
    """
    with database_errors(doing):
        connection = engine.connect()
    try:
        yield connection
    finally:
        try:
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_unlock_all()"))
        except DBAPIError:
            connection.invalidate()  # the server is gone, and the locks with it
        connection.close()


@contextmanager
def begin_locked(connection: Connection, lock: str, doing: str) -> Iterator[Connection]:
    """Begin a transaction under the locks of a connection.

    Raises:
        DatabaseUnavailable: The connection was lost, and with it the lock.
    """
    if connection.invalidated:  # SQLAlchemy would connect anew, without the locks
        raise DatabaseUnavailable(f"The connection with {lock} was lost before {doing}; trying again.")
    with database_errors(doing), connection.begin():
        yield connection
