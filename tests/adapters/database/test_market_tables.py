"""The tables of market data refuse what cannot be."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from lib.adapters.database.engine import make_engine
from lib.adapters.database.tables.market import CANDLES

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
