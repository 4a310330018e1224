"""Reports of accounts whose past is written down by the test, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row

from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.balances import DatabaseBalances
from lib.adapters.database.engine import make_engine
from lib.adapters.database.equity import DatabaseEquity
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.performance import DatabasePerformance
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.reports import DatabaseReports
from lib.adapters.database.strategies import DatabaseStrategies
from lib.allocation.targets import TargetRules
from lib.portfolio.fills import Balance, BookedFill
from lib.portfolio.ledger import build_ledger
from lib.portfolio.valuation import value_position
from lib.reporting.gathering import Sources, gather_report
from lib.reporting.generating import Desk, ReportResult, generate_report
from lib.reporting.report import Report, ReportType
from lib.reporting.runs import RunHistory
from tests.performance.conftest import Past
from tests.portfolio.hand_exchange import HandClock
from tests.portfolio.samples import START

CALM = RunHistory(runs=288)


@dataclass
class Newsroom:
    """An account's past, and the desk that reports on it."""

    past: Past
    sources: Sources
    folder: Path
    prices: dict[str, str] = field(default_factory=lambda: {"SOL/USDT": "110"})

    def hold(self, *fills: BookedFill, cash: str = "0", account: str = "demo") -> None:
        """Book fills, price what is open, and hold that with this cash, as of now."""
        store, now = DatabasePortfolioStore(self.past.engine), self.past.clock.now()
        ledger = build_ledger(fills)
        held = {one.symbol.partition("/")[0]: one.quantity for one in ledger.positions if one.is_open}
        with store.open_books(account) as books:
            books.add_fills(fills, now)
            books.replace_ledger(ledger)
            books.save_valuations(
                {
                    one.symbol: value_position(one, Decimal(self.prices[one.symbol]), now)
                    for one in ledger.positions
                    if one.is_open
                }
            )
            amounts = held | {"USDT": Decimal(cash)}
            books.save_import([Balance(asset, total, Decimal(0)) for asset, total in amounts.items()], {}, now)

    def gather(self, kind: ReportType = ReportType.DAILY, history: RunHistory = CALM) -> Report:
        return gather_report(kind, self.past.accounts, self.sources, history, self.past.clock.now())

    def write(
        self, kind: ReportType = ReportType.DAILY, history: RunHistory = CALM, *, key: str = "run"
    ) -> ReportResult:
        desk = Desk(self.sources, self.folder, self.past.clock)
        return generate_report(kind, self.past.accounts, history, desk, key=key)

    def wait_until(self, days: float) -> datetime:
        """Let the clock stand so many days after the start."""
        self.past.clock.pass_time(seconds=(START + timedelta(days=days) - self.past.clock.now()).total_seconds())
        return self.past.clock.now()

    def messages(self) -> list[Row[Any]]:
        return self.past.query("SELECT * FROM notifications ORDER BY notification_id")

    def attachments(self) -> list[str]:
        rows = self.past.query("SELECT name FROM notification_attachments ORDER BY notification_id, number")
        return [row.name for row in rows]


@pytest.fixture
def newsroom(database_url: str, tmp_path: Path) -> Iterator[Newsroom]:
    """The account demo, which nothing is known of; it is 23:30 of the tenth day."""
    engine = make_engine(database_url)
    past = Past(engine, HandClock(START), [])
    past.open_account("demo")
    sources = Sources(
        reports=DatabaseReports(engine),
        equity=DatabaseEquity(engine),
        performance=DatabasePerformance(engine),
        portfolio=DatabasePortfolioStore(engine),
        states=DatabaseStates(engine),
        balances=DatabaseBalances(engine),
        strategies=DatabaseStrategies(engine),
        market=DatabaseMarketFacts(engine),
        outbox=NotificationStore(engine),
        targets=TargetRules(("BTC", "ETH"), ("SOL", "LINK")),
        band=Decimal("0.05"),
        refused={},
    )
    room = Newsroom(past, sources, tmp_path / "reports")
    room.wait_until(9 + 23.5 / 24)
    yield room
    engine.dispose()
