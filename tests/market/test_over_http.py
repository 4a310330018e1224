"""Synchronisation with the simulator over HTTP: whatever goes wrong on the way, the next run ends with the truth."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from lib.errors import AllItemsFailed
from lib.market.sync_result import SyncResult
from lib.results import Status
from lib.units import to_milliseconds
from tests.market.http import sync_over_http
from tests.simulators import START_AT, RunningSimulator

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT")
HISTORY = {"5m": timedelta(days=4), "1h": timedelta(days=4)}
KLINES = "/api/v3/klines"
NOW = START_AT.replace(second=0)


def sync(
    engine: Engine, simulator: RunningSimulator, *symbols: str, at: datetime = START_AT, timeout_seconds: float = 5
) -> SyncResult:
    wanted = symbols or SYMBOLS
    return asyncio.run(sync_over_http(engine, simulator, at, wanted, HISTORY, timeout_seconds))


def load_stored(engine: Engine, symbol: str, timeframe: str) -> list[tuple[int, ...]]:
    query = text(
        "SELECT opened_at, open, high, low, close, volume, quote_volume, trade_count FROM candles "
        "WHERE symbol = :symbol AND timeframe = :timeframe ORDER BY opened_at"
    )
    with engine.connect() as connection:
        rows = connection.execute(query, {"symbol": symbol, "timeframe": timeframe}).all()
    return [(to_milliseconds(row.opened_at), *row[1:]) for row in rows]


def fetch_truth(simulator: RunningSimulator, symbol: str, timeframe: str, now: datetime) -> list[tuple[Any, ...]]:
    """Return what the exchange itself says, asked plainly and read here."""
    start = to_milliseconds(START_AT) - 4 * 86_400_000
    rows: list[Any] = []
    width = {"5m": 300_000, "1h": 3_600_000}[timeframe]
    start -= start % width
    while page := simulator.get(
        "/klines", symbol=symbol.replace("/", ""), interval=timeframe, startTime=start, limit=1000
    ):
        rows += page
        start = page[-1][0] + 1
    closed = [row for row in rows if row[0] + width <= to_milliseconds(now)]
    return [(row[0], *map(float, row[1:6]), float(row[7]), row[8]) for row in closed]


def check_truth(engine: Engine, simulator: RunningSimulator, *symbols: str, at: datetime = START_AT) -> None:
    for symbol in symbols or SYMBOLS:
        for timeframe in HISTORY:
            assert load_stored(engine, symbol, timeframe) == fetch_truth(simulator, symbol, timeframe, at)


def test_what_is_stored_is_what_the_exchange_has(engine: Engine, simulator: RunningSimulator) -> None:
    result = sync(engine, simulator)
    assert (result.status, result.clock_offset_ms) == (Status.OK, 0)
    assert result.counts["candles"] == 4 * (4 * 288 + 4 * 24)
    check_truth(engine, simulator)


def test_five_minutes_later_each_series_gets_its_candle(engine: Engine, simulator: RunningSimulator) -> None:
    sync(engine, simulator)
    simulator.control.advance(300)
    later = START_AT + timedelta(minutes=5)
    result = sync(engine, simulator, at=later)
    assert (result.counts["candles"], result.counts["fresh"], result.requests) == (4, 4, 4)
    check_truth(engine, simulator, at=later)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 503, "code": -1001, "message": "Internal error; unable to process your request."}),
        ("drop_before", {}),
        ("drop_after", {}),
        ("timeout_before", {}),
        ("body", {"variant": "empty"}),
        ("body", {"variant": "truncated"}),
        ("body", {"variant": "html"}),
        ("body", {"variant": "text"}),
        ("types", {"variant": "text_as_numbers"}),
        ("types", {"variant": "numbers_as_text"}),
        ("types", {"variant": "nan"}),
        ("types", {"variant": "infinity"}),
        ("types", {"variant": "bare_nan"}),
        ("candles", {"variant": "duplicated"}),
        ("candles", {"variant": "misaligned"}),
        ("candles", {"variant": "future"}),
    ],
    ids=lambda value: str(value),
)
def test_a_bad_moment_of_one_symbol_is_told_harms_no_other_and_is_over_in_the_next_run(
    engine: Engine, simulator: RunningSimulator, kind: str, params: dict[str, Any]
) -> None:
    simulator.control.arm(kind, path=KLINES, symbol="ETHUSDT", count=0, **params)
    result = sync(engine, simulator, timeout_seconds=2 if kind == "timeout_before" else 5)
    assert result.status is Status.PARTIAL
    troubled = {item.name for item in result.items if item.status in (Status.FAILED, Status.PARTIAL)}
    assert troubled == {"ETH/USDT 5m", "ETH/USDT 1h"}
    check_truth(engine, simulator, "BTC/USDT", "SOL/USDT", "BNB/USDT")
    simulator.control.clear_faults()
    simulator.control.advance(600)
    later = START_AT + timedelta(minutes=10)
    assert sync(engine, simulator, at=later).status is Status.OK
    check_truth(engine, simulator, at=later)


def test_candles_out_of_order_are_stored_in_order(engine: Engine, simulator: RunningSimulator) -> None:
    simulator.control.arm("candles", path=KLINES, count=0, variant="out_of_order")
    assert sync(engine, simulator).status is Status.OK
    simulator.control.clear_faults()
    check_truth(engine, simulator)


@pytest.mark.parametrize("status", [429, 418])
@pytest.mark.parametrize("retry_after", [None, 7])
def test_a_rate_limit_ends_the_asking_at_once(
    engine: Engine, simulator: RunningSimulator, status: int, retry_after: int | None
) -> None:
    simulator.control.arm("status", path=KLINES, count=0, status=status, retry_after=retry_after)
    with pytest.raises(AllItemsFailed) as caught:
        sync(engine, simulator)
    assert caught.value.retryable
    assert set(caught.value.errors) == {f"{symbol} {timeframe}" for symbol in SYMBOLS for timeframe in HISTORY}
    assert load_stored(engine, "BTC/USDT", "5m") == []


def test_missing_candles_are_verified_absent_over_http_too(engine: Engine, simulator: RunningSimulator) -> None:
    start, end = NOW - timedelta(hours=30), NOW - timedelta(hours=28)
    simulator.control.add_missing(start, end, "SOLUSDT")
    result = sync(engine, simulator)
    assert (result.counts["gaps found"], result.counts["verified absent"]) == (2, 2)
    check_truth(engine, simulator)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT symbol, timeframe, starts_at, ends_at, state FROM candle_gaps")).all()
    assert {tuple(row) for row in rows} == {
        ("SOL/USDT", timeframe, start, end, "verified_absent") for timeframe in HISTORY
    }
    assert sync(engine, simulator).status is Status.SKIPPED


def test_candles_that_come_late_are_waited_for(engine: Engine, simulator: RunningSimulator) -> None:
    sync(engine, simulator)
    simulator.control.set_late(90, "BTCUSDT")
    simulator.control.advance(300)
    later = START_AT + timedelta(minutes=5)
    result = sync(engine, simulator, at=later)
    assert (result.counts["late"], result.counts["candles"], result.status) == (1, 3, Status.OK)
    simulator.control.advance(90)
    sync(engine, simulator, at=later + timedelta(seconds=90))
    check_truth(engine, simulator, at=later + timedelta(seconds=90))


def test_a_symbol_that_is_delisted_and_comes_back_is_whole_again(engine: Engine, simulator: RunningSimulator) -> None:
    sync(engine, simulator)
    simulator.control.delist("ETHUSDT")
    simulator.control.advance(600)
    at = START_AT + timedelta(minutes=10)
    result = sync(engine, simulator, at=at)
    assert (result.quarantined, result.status) == (("ETH/USDT",), Status.PARTIAL)
    simulator.control.relist("ETHUSDT")
    simulator.control.advance(3600)
    at += timedelta(hours=1)
    assert sync(engine, simulator, at=at).released == ("ETH/USDT",)
    check_truth(engine, simulator, at=at)


def test_a_halted_symbol_is_put_aside_until_it_trades(engine: Engine, simulator: RunningSimulator) -> None:
    sync(engine, simulator)
    simulator.control.halt("ETHUSDT")
    simulator.control.advance(3600)
    at = START_AT + timedelta(hours=1)
    assert sync(engine, simulator, at=at).quarantined == ("ETH/USDT",)
    simulator.control.resume("ETHUSDT")
    simulator.control.advance(7200)
    at += timedelta(hours=2)
    assert sync(engine, simulator, at=at).released == ("ETH/USDT",)
    check_truth(engine, simulator, at=at)


def test_a_clock_that_is_ten_seconds_off_is_told_and_changes_no_candle(
    engine: Engine, simulator: RunningSimulator
) -> None:
    result = sync(engine, simulator, at=START_AT + timedelta(seconds=10))
    assert abs(result.clock_offset_ms + 10_000) < 1_000
    check_truth(engine, simulator)
