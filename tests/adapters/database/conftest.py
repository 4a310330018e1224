"""A migrated database with one account in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from sqlalchemy import Connection, text

from lib.adapters.database.engine import make_engine


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection whose work is rolled back; the account is "demo"."""
    engine = make_engine(database_url)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO accounts VALUES ('demo', 'live', 'simulator', 'USDT', now())"))
        yield connection
    engine.dispose()


def insert(connection: Connection, table: str, row: Mapping[str, str]) -> None:
    """Insert a row of the account; values are SQL literals."""
    values = {"account": "'demo'"} | dict(row)
    columns, literals = ", ".join(values), ", ".join(values.values())
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({literals})"))
