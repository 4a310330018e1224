"""The portfolio's migration makes the declared tables, and they refuse what cannot be."""

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

TABLES = {
    "accounts",
    "account_balances",
    "fill_imports",
    "fills",
    "positions",
    "position_alarms",
    "unmatched_disposals",
}
POSITION = {"symbol": "'SOL/USDT'", "opened_by": "'SOL/USDT#1'", "opened_at": "'2026-01-02'", "quantity": "1"}
POSITION |= dict.fromkeys(("cost_quote", "average_cost", "realized_pnl_quote", "fees_quote", "quantity_step"), "0")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO accounts VALUES ('demo', 'live', 'simulator', 'USDT', now())"))
        yield connection
    engine.dispose()


def insert_position(connection: Connection, **changes: str) -> None:
    values = {"account": "'demo'"} | POSITION | changes
    columns, literals = ", ".join(values), ", ".join(values.values())
    connection.execute(text(f"INSERT INTO positions ({columns}) VALUES ({literals})"))


def test_the_migration_makes_exactly_the_declared_tables(connection: Connection) -> None:
    assert tables.portfolio.PositionRow.metadata is SQLModel.metadata
    options = {"compare_type": True, "include_object": lambda _, name, kind, *_of: kind != "table" or name in TABLES}
    differences = compare_metadata(MigrationContext.configure(connection, opts=options), SQLModel.metadata)
    assert differences == []


def test_every_declared_check_is_in_the_database(connection: Connection) -> None:
    for name in TABLES:
        declared = {
            check.name for check in SQLModel.metadata.tables[name].constraints if isinstance(check, CheckConstraint)
        }
        stored = {check["name"] for check in inspect(connection).get_check_constraints(name)}
        assert stored == declared


def test_a_downgrade_removes_the_tables(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0002")
    migrate.downgrade(empty_database_url, "0001")
    engine = make_engine(empty_database_url)
    left = set(inspect(engine).get_table_names())
    engine.dispose()
    assert not left & TABLES
    assert "candles" in left


def test_a_sound_position_is_taken(connection: Connection) -> None:
    insert_position(connection, price="100", price_at="now()", stop_loss="90", take_profit="120")


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "-1"},
        {"quantity": "'NaN'"},
        {"quantity": "0"},
        {"closed_at": "'2026-01-01'"},
        {"price": "0", "price_at": "now()"},
        {"price": "'Infinity'", "price_at": "now()"},
        {"price": "100"},
        {"stop_loss": "0"},
        {"stop_loss": "'NaN'"},
        {"stop_loss": "100", "take_profit": "90"},
    ],
    ids=str,
)
def test_an_impossible_position_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert_position(connection, **changes)


def test_a_second_open_position_of_a_symbol_is_refused(connection: Connection) -> None:
    insert_position(connection)
    with pytest.raises(IntegrityError, match="positions_one_open_per_symbol"):
        insert_position(connection, opened_by="'SOL/USDT#2'")
