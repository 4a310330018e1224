"""Signals of all four strategies on 1h candles: a new candle, the same candle again, and how both grow.

What is measured is one call of `generate_signals` in a process that is up: reading, deciding, writing, pictures and
messages. The peer is the same call on a tenth of the symbols or of the history; the chain's own benchmark has the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Engine, text

from benchmarks.measuring import render_spread, show_table
from benchmarks.servers import running_database
from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.copying import copy_rows
from lib.adapters.database.engine import make_engine
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.indicators import DatabaseIndicators
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.signals import DatabaseSignals
from lib.adapters.database.strategies import DatabaseStrategies
from lib.adapters.database.tables.market import CANDLES
from lib.indicators.refresh import update_indicators
from lib.indicators.shelf import IndicatorShelf
from lib.indicators.warm import warm_kernels
from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.portfolio.accounts import Account, AccountKind
from lib.strategy.registry import STRATEGIES
from lib.strategy.signal_report import SignalsResult
from lib.strategy.signals import SignalOptions, generate_signals

SIZES = ((10, 1100), (50, 1100), (500, 1100), (50, 11_000))  # symbols, candles stored of each
ROUNDS = 5
YEAR = 105_120  # candles of 5 minutes
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands."""

    at: datetime

    def now(self) -> datetime:
        """Return the instant it stands at."""
        return self.at


def run() -> None:
    warm_kernels()
    rows = []
    for symbols, candles in SIZES:
        with running_database() as url:
            engine = make_engine(url)
            rows.append(_measure_size(engine, symbols, candles))
            engine.dispose()
    headers = ("symbols x stored candles", "BUYs", "new candle, s", "nothing stored of indicators, s", "same candle, s")
    show_table(headers, rows)
    _show_history()


def _measure_size(engine: Engine, symbols: int, candles: int) -> tuple[str, ...]:
    names = [f"S{number:03d}/USDT" for number in range(symbols)]
    _store(engine, names, candles)
    update_indicators(store=DatabaseIndicators(engine), clock=FixedClock(NOON), symbols=names, timeframes=["1h"])
    stored, computed, again = [], [], []
    buys = 0
    for _ in range(ROUNDS):
        seconds, result = _generate(engine, names, NOON)
        buys = result.counts["buys"]
        stored.append(seconds)
        again.append(_generate(engine, names, NOON + timedelta(minutes=15))[0])
        _forget(engine)
        computed.append(_generate(engine, names, NOON, with_indicators=False)[0])
        _forget(engine)
    return f"{symbols} x {candles:,}", str(buys), *(render_spread(seconds) for seconds in (stored, computed, again))


def _generate(
    engine: Engine, names: Sequence[str], now: datetime, *, with_indicators: bool = True
) -> tuple[float, SignalsResult]:
    started = time.perf_counter()
    result = generate_signals(
        accounts=["demo"],
        symbols=names,
        timeframe="1h",
        history=DatabaseHistory(engine),
        indicators=DatabaseIndicators(engine) if with_indicators else None,
        strategies=DatabaseStrategies(engine),
        signals=DatabaseSignals(engine),
        states=DatabaseStates(engine),
        market=DatabaseMarketFacts(engine),
        sentiment=None,
        clock=FixedClock(now),
        options=SignalOptions(),
    )
    return time.perf_counter() - started, result


def _store(engine: Engine, names: Sequence[str], candles: int) -> None:
    """Store random walks up to the candle that closes at noon, their symbols, and an account with cash."""
    walks = _make_walks(len(names), candles)
    instants = [NOON - HOUR * (candles - bar) for bar in range(candles)]
    rows = [
        (name, "1h", instants[bar], *(float(matrix[row, bar]) for matrix in walks), 1.0, None, None)
        for bar in range(candles)
        for row, name in enumerate(names)
    ]
    with engine.begin() as connection:
        copy_rows(connection, CANDLES.name, CANDLES, rows)
        connection.execute(
            text(
                "INSERT INTO symbols SELECT name, split_part(name, '/', 1), 'USDT', 'alt', 'trading', 0.000001, 0.001,"
                " 0.001, 5, :now, :now FROM unnest(CAST(:names AS text[])) AS name"
            ),
            {"names": list(names), "now": NOON},
        )
    DatabasePortfolioStore(engine).ensure_account(Account("demo", AccountKind.PAPER, "hand", "USDT"), NOON)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("INSERT INTO account_balances VALUES ('demo', 'USDT', 10000, 0, :now, :now)"), {"now": NOON}
        )
        connection.execute(text("VACUUM ANALYZE"))


def _make_walks(symbols: int, candles: int) -> tuple[FloatMatrix, FloatMatrix, FloatMatrix, FloatMatrix]:
    """Return open, high, low and close."""
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, (symbols, candles)), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    return opened, np.maximum(opened, close) * 1.003, np.minimum(opened, close) * 0.997, close


def _forget(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE signals, signal_sizes, notifications CASCADE"))


def _show_history() -> None:
    """What research pays for a strategy's decisions over a year, without and with its indicators on the shelf."""
    opened_at = np.datetime64("2025-01-01", "us") + np.arange(YEAR) * np.timedelta64(300, "s")
    walks = _make_walks(1, YEAR)
    candles = CandleMatrix(("BTC/USDT",), "5m", opened_at, *walks, np.ones_like(walks[3]))
    rows = []
    for name, strategy in STRATEGIES.items():
        shelf = IndicatorShelf(candles)
        strategy().decide(IndicatorShelf(candles))
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            strategy().decide(shelf)
            seconds.append(time.perf_counter() - started)
        rows.append((name, *(f"{1000 * one:.1f}" for one in seconds)))
    show_table((f"decisions over {YEAR:,} candles", "ms", "again on the same shelf, ms"), rows)
