"""The tables of market data: as the migrations make them, and what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from lib.adapters.database import migrate
from lib.adapters.database.engine import make_engine
from lib.adapters.database.tables.market import CANDLE_GAPS, CANDLES, SYMBOLS, SYNC_STATUS

TABLES = (CANDLES, CANDLE_GAPS, SYNC_STATUS, SYMBOLS)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CANDLE = {
    "symbol": "BTC/USDT",
    "timeframe": "5m",
    "opened_at": NOON,
    "open": 2.0,
    "high": 4.0,
    "low": 1.0,
    "close": 3.0,
    "volume": 0.0,
    "quote_volume": None,
    "trade_count": None,
}


def test_the_migrations_make_what_the_tables_declare(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, SQLModel.metadata)
        for table in TABLES:
            declared = {check.name for check in table.constraints if check.name and "check" in str(type(check)).lower()}
            assert {check["name"] for check in inspect(connection).get_check_constraints(table.name)} == declared
    engine.dispose()
    assert differences == []


def test_the_migrations_go_back_and_forth(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    migrate.downgrade(empty_database_url, "base")
    engine = make_engine(empty_database_url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    migrate.upgrade(empty_database_url)


@pytest.mark.parametrize(
    "change",
    [
        {"low": 2.5},
        {"high": 2.5},
        {"low": 0.0},
        {"high": float("inf")},
        {"high": float("nan")},
        {"open": float("nan")},
        {"close": float("inf")},
        {"volume": -0.1},
        {"volume": float("nan")},
        {"quote_volume": float("inf")},
        {"trade_count": -1},
        {"open": None},
    ],
    ids=str,
)
def test_an_impossible_candle_is_refused_by_the_database_itself(database_url: str, change: dict[str, object]) -> None:
    engine = make_engine(database_url)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(CANDLES.insert(), {**CANDLE, **change})
    with engine.begin() as connection:
        connection.execute(CANDLES.insert(), CANDLE)
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO candle_gaps VALUES ('A/B', '5m', now(), now(), 'open', '', 0, now(), NULL)",
        "INSERT INTO candle_gaps VALUES ('A/B', '5m', now(), now() + '1h', 'closed', '', 0, now(), NULL)",
        "INSERT INTO sync_status VALUES ('A/B', '5m', now(), NULL, NULL, 0, NULL, NULL, NULL, 0)",
        "INSERT INTO sync_status VALUES ('A/B', '5m', NULL, NULL, NULL, -1, NULL, NULL, NULL, 0)",
        "INSERT INTO symbols VALUES ('A/B', 'A', 'B', 'main', 'asleep', NULL, NULL, NULL, NULL, now(), now())",
        "INSERT INTO symbols VALUES ('A/B', 'A', 'B', 'main', 'trading', 0, 1, 1, 1, now(), now())",
    ],
    ids=["an empty gap", "a state unknown", "half an end", "a negative count", "a status unknown", "a step of zero"],
)
def test_nonsense_is_refused_by_the_database_itself(database_url: str, statement: str) -> None:
    engine = make_engine(database_url)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
