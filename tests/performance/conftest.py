"""Accounts with a past on a real database: their balances, cash flows and fills are written down by the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.equity import DatabaseEquity
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.performance import DatabasePerformance
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.performance.calculating import MetricsResult, calculate_metrics
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.fills import BookedFill
from tests.portfolio.hand_exchange import HandClock
from tests.portfolio.samples import START


@dataclass
class Past:
    """What is stored of accounts, and what is measured of it."""

    engine: Engine
    clock: HandClock
    accounts: list[Account]

    def open_account(self, name: str) -> None:
        account = Account(name, AccountKind.LIVE, "hand", "USDT")
        DatabasePortfolioStore(self.engine).ensure_account(account, self.clock.now())
        self.accounts.append(account)

    def worth(self, days: float, equity: str, *, deposited: str = "0", account: str = "demo") -> None:
        """What the account was worth so many days after the start, and what had come in by then (negative: left)."""
        at = START + timedelta(days=days)
        self.query(
            "INSERT INTO balance_history (account, at, cash_free, cash_locked, positions_value, other_value, equity,"
            " unexplained_value, unrealized_pnl, realized_pnl, day_flows, unpriced)"
            " VALUES (:account, :at, :equity, 0, 0, 0, :equity, 0, 0, 0, 0, '{}')",
            account=account,
            at=at,
            equity=Decimal(equity),
        )
        if amount := Decimal(deposited):
            self.query(
                "INSERT INTO cash_flows (account, flow_id, kind, source, asset, amount, at, is_booked, value_quote,"
                " priced_by, counted_at, note, recorded_at)"
                " VALUES (:account, :id, :kind, 'exchange', 'USDT', :amount, :at, true, :amount, 'quote', :at, '',"
                " :at)",
                account=account,
                id=f"flow:{at}",
                kind="deposit" if amount > 0 else "withdrawal",
                amount=amount,
                at=at,
            )

    def bitcoin(self, days: float, close: float) -> None:
        """The close of the five-minute candle that ends then."""
        self.query(
            "INSERT INTO candles (symbol, timeframe, opened_at, open, high, low, close, volume)"
            " VALUES ('BTC/USDT', '5m', :at, :close, :close, :close, :close, 1)",
            at=START + timedelta(days=days, minutes=-5),
            close=close,
        )

    def fill(self, *fills: BookedFill, account: str = "demo") -> None:
        """Store fills."""
        for one in fills:
            fill = one.fill
            self.query(
                "INSERT INTO fills VALUES (:account, :symbol, :id, :order, :side, :price, :quantity, :fee, :asset,"
                " :worth, 'test', :step, :at, :at)",
                account=account,
                symbol=fill.symbol,
                id=fill.fill_id,
                order=fill.order_id,
                side=fill.side.value,
                price=fill.price,
                quantity=fill.quantity,
                fee=fill.fee,
                asset=fill.fee_asset,
                worth=one.fee_quote,
                step=one.quantity_step,
                at=fill.filled_at,
            )

    def measure(self, now: datetime, days: int = 30) -> MetricsResult:
        """Do what the task does, then."""
        self.clock.pass_time(seconds=(now - self.clock.now()).total_seconds())
        return calculate_metrics(
            accounts=self.accounts,
            days=days,
            equity=DatabaseEquity(self.engine),
            store=DatabasePerformance(self.engine),
            market=DatabaseMarketFacts(self.engine),
            clock=self.clock,
        )

    def query(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    def stored(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM performance_snapshots ORDER BY account, days, last_day")


@pytest.fixture
def past(database_url: str) -> Iterator[Past]:
    engine = make_engine(database_url)
    made = Past(engine, HandClock(START), [])
    made.open_account("demo")
    yield made
    engine.dispose()
