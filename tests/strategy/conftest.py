"""Strategies and signals on a real database, with candles written by hand."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.copying import copy_upsert
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.indicators import DatabaseIndicators
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.signals import DatabaseSignals
from lib.adapters.database.strategies import DatabaseStrategies
from lib.adapters.database.tables.market import CANDLES
from lib.portfolio.accounts import Account, AccountKind
from lib.results import Item, TaskResult
from lib.strategy.roster import register_strategies
from lib.strategy.signal_report import SignalsResult
from lib.strategy.signals import SignalOptions, generate_signals
from lib.strategy.stores import SignalKey, StrategyState
from tests.portfolio.hand_exchange import HandClock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # the candle that has just closed opened at 11:00
CANDLE = NOON - timedelta(hours=1)
SOL = SignalKey("1h", CANDLE, "breakout", "SOL/USDT")
SYMBOLS = ("SOL/USDT", "ADA/USDT", "BNB/USDT")


@dataclass
class HandNews:
    """What the news said, and which questions were asked of them."""

    sentiment: Mapping[str, float]
    asked: list[tuple[frozenset[str], datetime]] = field(default_factory=list)

    def load_sentiment(self, symbols: Collection[str], at: datetime) -> Mapping[str, float]:
        self.asked.append((frozenset(symbols), at))
        return {symbol: value for symbol, value in self.sentiment.items() if symbol in symbols}


@dataclass
class Desk:
    """Everything that signals need, and what is stored afterwards. It is 20 seconds past noon."""

    engine: Engine
    clock: HandClock
    options: SignalOptions = field(default_factory=SignalOptions)
    news: HandNews | None = None
    accounts: tuple[str, ...] = ("demo",)
    symbols: tuple[str, ...] = SYMBOLS

    @property
    def strategies(self) -> DatabaseStrategies:
        return DatabaseStrategies(self.engine)

    @property
    def signals(self) -> DatabaseSignals:
        return DatabaseSignals(self.engine)

    def run(self, **others: Any) -> SignalsResult:
        arguments: dict[str, Any] = {
            "accounts": self.accounts,
            "symbols": self.symbols,
            "timeframe": "1h",
            "history": DatabaseHistory(self.engine),
            "indicators": DatabaseIndicators(self.engine),
            "strategies": self.strategies,
            "signals": self.signals,
            "states": DatabaseStates(self.engine),
            "market": DatabaseMarketFacts(self.engine),
            "sentiment": self.news,
            "clock": self.clock,
            "options": self.options,
        }
        return generate_signals(**arguments | others)

    def disable(self, *names: str) -> None:
        """Disable strategies, as an operator would."""
        register_strategies(self.strategies, self.clock.now())
        for name in names:
            self.strategies.change_state(name, StrategyState.DISABLED, "operator: not wanted", self.clock.now())

    def store_closes(self, symbol: str, closes: Sequence[float], *, last: datetime = NOON - timedelta(hours=1)) -> None:
        """Store 1h candles with these closes that open at the close before, the last one opening at `last`."""
        start = last - timedelta(hours=len(closes) - 1)
        opened = [
            close if math.isnan(before) else before for before, close in zip([closes[0], *closes], closes, strict=False)
        ]
        rows = [
            (
                symbol,
                "1h",
                start + timedelta(hours=bar),
                first,
                max(first, close),
                min(first, close),
                close,
                1.0,
                None,
                None,
            )
            for bar, (first, close) in enumerate(zip(opened, closes, strict=True))
            if not math.isnan(close)
        ]
        with self.engine.begin() as connection:
            copy_upsert(connection, CANDLES, rows)

    def list_symbol(self, symbol: str, status: str = "trading") -> None:
        self.query(
            "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
            " min_notional, status_since, refreshed_at)"
            " VALUES (:symbol, split_part(:symbol, '/', 1), split_part(:symbol, '/', 2), 'other', :status, 0.01, 0.001,"
            " 0.001, 5, :now, :now) ON CONFLICT (name) DO UPDATE SET status = EXCLUDED.status",
            symbol=symbol,
            status=status,
            now=self.clock.now(),
        )

    def open_account(self, name: str, cash: str | None) -> None:
        """Register an account; with cash as if it had just been imported."""
        account = Account(name, AccountKind.LIVE, "hand", "USDT")
        DatabasePortfolioStore(self.engine).ensure_account(account, self.clock.now())
        if cash is not None:
            self.query(
                "INSERT INTO account_balances VALUES (:name, 'USDT', :cash, 0, :now, :now)",
                name=name,
                cash=cash,
                now=self.clock.now(),
            )

    def query(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    def messages(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM notifications ORDER BY notification_id")


def wave(level: float, bars: int) -> list[float]:
    """Closes that swing by one percent around a level."""
    return [level * (1.01 if bar % 2 else 0.99) for bar in range(bars)]


def item(result: TaskResult, name: str) -> Item:
    """Return the one item of that name."""
    (found,) = [one for one in result.items if one.name == name]
    return found


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """Three symbols that swing, an account with 10,000 USDT, and breakout alone active."""
    desk = Desk(engine, HandClock(NOON + timedelta(seconds=20)))
    for symbol in SYMBOLS:
        desk.list_symbol(symbol)
        desk.store_closes(symbol, wave(100, 400))
    desk.open_account("demo", "10000")
    desk.disable("trend_following", "mean_reversion", "index_momentum")
    return desk


@pytest.fixture
def breaking_out(desk: Desk) -> Desk:
    """SOL/USDT has left its channel with the candle that has just closed."""
    desk.store_closes("SOL/USDT", [*wave(100, 399), 105.0])
    return desk


@pytest.fixture
def market(desk: Desk) -> Desk:
    """Ten symbols that fell, without the candle that has just closed; index momentum alone is active."""
    desk.symbols = tuple(f"S{number}/USDT" for number in range(10))
    fall = [200 - bar / 4 for bar in range(398)]
    for symbol in desk.symbols:
        desk.store_closes(symbol, [*fall, 100.0], last=CANDLE - timedelta(hours=1))
    desk.disable("breakout")
    desk.strategies.change_state("index_momentum", StrategyState.ACTIVE, "operator", NOON - timedelta(days=30))
    return desk
