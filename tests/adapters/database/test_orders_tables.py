"""The migration of orders makes the declared tables, and they refuse what cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from lib.adapters.database import migrate, tables
from lib.adapters.database.engine import make_engine

TABLES = {"order_intents", "orders", "order_attempts", "order_fills"}
INTENT = {
    "account": "'demo'",
    "client_order_id": "'fks-1'",
    "symbol": "'BTC/USDT'",
    "side": "'buy'",
    "kind": "'market'",
    "quantity": "1",
    "reference_price": "100",
    "time_in_force": "'gtc'",
    "why": "''",
    "created_at": "now()",
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO accounts VALUES ('demo', 'live', 'simulator', 'USDT', now())"))
        yield connection
    engine.dispose()


def insert(connection: Connection, **changes: str) -> None:
    values = INTENT | changes
    columns, literals = ", ".join(values), ", ".join(values.values())
    connection.execute(text(f"INSERT INTO order_intents ({columns}) VALUES ({literals})"))


def test_the_migration_makes_exactly_the_declared_tables(connection: Connection) -> None:
    assert tables.orders.OrderRow.metadata is SQLModel.metadata
    options = {"compare_type": True, "include_object": lambda _, name, kind, *_of: kind != "table" or name in TABLES}
    assert compare_metadata(MigrationContext.configure(connection, opts=options), SQLModel.metadata) == []
    for name in TABLES:
        declared = {one.name for one in SQLModel.metadata.tables[name].constraints if isinstance(one, CheckConstraint)}
        assert {check["name"] for check in inspect(connection).get_check_constraints(name)} == declared


def test_a_downgrade_removes_the_tables(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0012")
    migrate.downgrade(empty_database_url, "0011")
    engine = make_engine(empty_database_url)
    left = set(inspect(engine).get_table_names())
    engine.dispose()
    assert not left & TABLES
    assert "fills" in left


def test_sound_intents_are_taken(connection: Connection) -> None:
    insert(connection)
    insert(connection, client_order_id="'2'", kind="'limit'", limit_price="100", time_in_force="'ioc'")
    insert(connection, client_order_id="'3'", kind="'stop_loss_limit'", limit_price="90", stop_price="91")


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "0"},
        {"quantity": "'NaN'"},
        {"reference_price": "0"},
        {"limit_price": "100"},
        {"kind": "'limit'"},
        {"kind": "'limit'", "limit_price": "'Infinity'"},
        {"kind": "'stop_loss_limit'", "limit_price": "100"},
        {"kind": "'oco'"},
        {"side": "'hold'"},
        {"time_in_force": "'fok'"},
        {"account": "'nobody'"},
    ],
    ids=str,
)
def test_an_impossible_intent_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert(connection, **changes)
