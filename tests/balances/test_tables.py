"""The migration of balances makes the declared tables, and they refuse what cannot be."""

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

TABLES = {"asset_prices", "balance_history", "cash_flows", "cash_flow_imports", "opening_balances", "breaks"}
AMOUNTS = ("cash_free", "cash_locked", "positions_value", "other_value", "equity", "unexplained_value")
SNAPSHOT = {"at": "now()", "unpriced": "'{}'"}
SNAPSHOT |= dict.fromkeys((*AMOUNTS, "unrealized_pnl", "realized_pnl", "day_flows"), "0")
FLOW = {"flow_id": "'deposit:1'", "kind": "'deposit'", "source": "'exchange'", "asset": "'USDT'", "amount": "5"}
FLOW |= {
    "at": "now()",
    "is_booked": "true",
    "value_quote": "5",
    "priced_by": "''",
    "note": "''",
    "recorded_at": "now()",
}
BREAK = {"asset": "'SOL'", "first_seen_at": "now()", "last_seen_at": "now()", "state": "'suspected'"}
BREAK |= {"expected": "2", "actual": "3", "difference": "1", "why": "'?'"}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO accounts VALUES ('demo', 'live', 'simulator', 'USDT', now())"))
        yield connection
    engine.dispose()


def insert(connection: Connection, table: str, row: dict[str, str]) -> None:
    values = {"account": "'demo'"} | row
    columns, literals = ", ".join(values), ", ".join(values.values())
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({literals})"))


def test_the_migration_makes_exactly_the_declared_tables(connection: Connection) -> None:
    assert tables.balances.BreakRow.metadata is SQLModel.metadata
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
    migrate.upgrade(empty_database_url, "0007")
    migrate.downgrade(empty_database_url, "0006")
    engine = make_engine(empty_database_url)
    left = set(inspect(engine).get_table_names())
    engine.dispose()
    assert not left & TABLES
    assert "fills" in left


def test_sound_rows_are_taken(connection: Connection) -> None:
    insert(connection, "balance_history", SNAPSHOT)
    insert(connection, "cash_flows", FLOW | {"counted_at": "now()"})
    insert(connection, "breaks", BREAK)


@pytest.mark.parametrize(
    ("table", "row", "changes"),
    [
        ("balance_history", SNAPSHOT, {"equity": "'NaN'"}),
        ("balance_history", SNAPSHOT, {"cash_free": "-1"}),
        ("cash_flows", FLOW, {"amount": "0"}),
        ("cash_flows", FLOW, {"amount": "'NaN'"}),
        ("cash_flows", FLOW, {"kind": "'gift'"}),
        ("cash_flows", FLOW, {"is_booked": "false", "counted_at": "now()"}),
        ("cash_flows", FLOW, {"value_quote": "NULL", "counted_at": "now()"}),
        ("breaks", BREAK, {"difference": "2"}),
        ("breaks", BREAK, {"state": "'open'"}),
        ("breaks", BREAK, {"state": "'resolved'", "opened_at": "now()"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) and len(value) < 3 else "",
)
def test_an_impossible_row_is_refused(
    connection: Connection, table: str, row: dict[str, str], changes: dict[str, str]
) -> None:
    with pytest.raises(IntegrityError):
        insert(connection, table, row | changes)


def test_an_asset_has_one_break_at_a_time(connection: Connection) -> None:
    insert(connection, "breaks", BREAK)
    with pytest.raises(IntegrityError, match="breaks_one_per_asset"):
        insert(connection, "breaks", BREAK | {"first_seen_at": "now() + interval '1 hour'"})
