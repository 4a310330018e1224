"""The migration of risk makes the declared tables, and they refuse what cannot be."""

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

TABLES = {"risk_snapshots", "risk_alarms"}
SNAPSHOT = {"at": "now()", "state_at": "now()", "level": "'LOW'", "fired": "'[]'", "unpriced": "'{}'"}
SNAPSHOT |= dict.fromkeys(("equity", "market_value", "unrealized_pnl"), "0")
TAILS = dict.fromkeys(("var_95", "shortfall_95", "var_99", "shortfall_99", "var_days"), "1")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO accounts VALUES ('demo', 'live', 'simulator', 'USDT', now())"))
        yield connection
    engine.dispose()


def insert_snapshot(connection: Connection, **changes: str) -> None:
    values = {"account": "'demo'"} | SNAPSHOT | changes
    columns, literals = ", ".join(values), ", ".join(values.values())
    connection.execute(text(f"INSERT INTO risk_snapshots ({columns}) VALUES ({literals})"))


def test_the_migration_makes_exactly_the_declared_tables(connection: Connection) -> None:
    assert tables.risk.RiskSnapshotRow.metadata is SQLModel.metadata
    options = {"compare_type": True, "include_object": lambda _, name, kind, *_of: kind != "table" or name in TABLES}
    assert compare_metadata(MigrationContext.configure(connection, opts=options), SQLModel.metadata) == []


def test_every_declared_check_is_in_the_database(connection: Connection) -> None:
    for name in TABLES:
        declared = {
            check.name for check in SQLModel.metadata.tables[name].constraints if isinstance(check, CheckConstraint)
        }
        stored = {check["name"] for check in inspect(connection).get_check_constraints(name)}
        assert stored == declared


def test_a_downgrade_removes_the_tables(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url, "0008")
    migrate.downgrade(empty_database_url, "0007")
    engine = make_engine(empty_database_url)
    left = set(inspect(engine).get_table_names())
    engine.dispose()
    assert not left & TABLES
    assert "accounts" in left


def test_a_sound_snapshot_is_taken(connection: Connection) -> None:
    insert_snapshot(connection, **TAILS, drawdown_ratio="-0.1", worst_drawdown_ratio="-0.2")


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "'EXTREME'"},
        {"drawdown_ratio": "0.1"},
        {"var_95": "0.1"},
        TAILS | {"shortfall_99": "NULL"},
        {"account": "'nobody'"},
    ],
)
def test_an_impossible_snapshot_is_refused(connection: Connection, changes: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        insert_snapshot(connection, **changes)
