"""An account's risk on a real database; what it holds and its equity's history are written down by the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.risk import DatabaseRisk
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.state import AccountState
from lib.risk.analysis import analyze_risk
from lib.risk.drawdown import EquityPoint
from lib.risk.options import RiskOptions
from lib.risk.report import RiskResult
from tests.portfolio.hand_exchange import HandClock
from tests.portfolio.samples import ACCOUNT, START
from tests.risk.samples import daily


@dataclass
class HandEquity:
    """An `EquityStore` of points that the test writes down."""

    points: list[EquityPoint] = field(default_factory=list)

    def load_equity(self, account: str, since: datetime) -> Sequence[EquityPoint]:
        return [point for point in self.points if account == ACCOUNT and point.at >= since]


@dataclass
class Desk:
    """Everything an account's analysis needs, and what is stored afterwards."""

    engine: Engine
    history: DatabaseHistory
    store: DatabaseRisk
    clock: HandClock
    equity: HandEquity
    options: RiskOptions

    def analyze(self, state: AccountState | None, **later: float) -> RiskResult:
        """Let time pass (no time at all unless told), then analyze a state that is as old as the clock says."""
        self.clock.pass_time(**later)
        return analyze_risk(
            account=ACCOUNT,
            state=state,
            history=self.history,
            equity=self.equity,
            store=self.store,
            clock=self.clock,
            options=self.options,
        )

    def store_daily(self, **closes: Sequence[float]) -> None:
        """Store daily candles by base asset, the last one being yesterday's."""
        candles = daily(**closes)
        rows = [
            {"symbol": symbol, "at": START - timedelta(days=len(candles.opened_at) - bar), "close": float(close)}
            for symbol, row in zip(candles.symbols, candles.close, strict=True)
            for bar, close in enumerate(row)
            if close == close  # NaN: no candle
        ]
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO candles (symbol, timeframe, opened_at, open, high, low, close, volume)"
                    " VALUES (:symbol, '1d', :at, :close, :close, :close, :close, 1)"
                ),
                rows,
            )

    def query(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    def messages(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM notifications ORDER BY notification_id")

    def titles(self) -> list[str]:
        return [message.title for message in self.messages()]

    def snapshots(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM risk_snapshots ORDER BY at")


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    engine = make_engine(database_url)
    clock = HandClock()
    accounts = DatabasePortfolioStore(engine)
    accounts.ensure_account(Account(ACCOUNT, AccountKind.LIVE, "hand", "USDT"), clock.now())
    yield Desk(engine, DatabaseHistory(engine), DatabaseRisk(engine), clock, HandEquity(), RiskOptions())
    engine.dispose()
