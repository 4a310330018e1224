"""An account's balance chain on a real database, beside an exchange that the test moves by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from lib.adapters.database.balances import DatabaseBalances
from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.balances.classify import classify_break
from lib.balances.flows import CashFlow, FlowKind
from lib.balances.picture import BalanceOptions
from lib.balances.report import BalanceResult
from lib.balances.sync import sync_account_balance
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.position_report import PositionsUpdate
from lib.results import TaskResult
from tests.portfolio.hand_exchange import HandClock, HandExchange
from tests.portfolio.samples import ACCOUNT
from tests.portfolio.updating import update_positions

MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UNIVERSE = ("SOL/USDT", "BNB/USDT", "BTC/USDT")


@dataclass
class Desk:
    """Everything an account's balance needs, and what is stored afterwards."""

    engine: Engine
    portfolio: DatabasePortfolioStore
    balances: DatabaseBalances
    market: DatabaseMarketFacts
    clock: HandClock
    exchange: HandExchange
    options: BalanceOptions = field(default_factory=BalanceOptions)

    async def sync(self, **passed: float) -> BalanceResult:
        """Let time pass, then do what the chain does."""
        self.clock.pass_time(**passed)
        return await sync_account_balance(
            account=ACCOUNT,
            exchange=self.exchange,
            exchange_account=self.exchange,
            portfolio=self.portfolio,
            balances=self.balances,
            market=self.market,
            clock=self.clock,
            universe=UNIVERSE,
            options=self.options,
        )

    async def update(self) -> PositionsUpdate:
        """Import fills, as the five-minute chain does."""
        return await update_positions(
            account=ACCOUNT,
            exchange=self.exchange,
            exchange_account=self.exchange,
            store=self.portfolio,
            market=self.market,
            outbox=NotificationStore(self.engine),
            clock=self.clock,
            universe=UNIVERSE,
        )

    def move(self, asset: str, amount: str, number: int = 1, *, told: bool = True) -> None:
        """Deposit (negative: withdraw) at the present instant; `told`: in the exchange's history too."""
        change = Decimal(amount)
        self.exchange.deposit(asset, change)
        kind = FlowKind.DEPOSIT if change > 0 else FlowKind.WITHDRAWAL
        if told:
            now = self.clock.now()
            self.exchange.flows.append(CashFlow(ACCOUNT, f"{kind}:{number}", kind, asset, change, now, is_booked=True))

    def classify(self, asset: str, kind: FlowKind, note: str = "") -> TaskResult:
        return classify_break(
            account=ACCOUNT, asset=asset, kind=kind, note=note, balances=self.balances, clock=self.clock
        )

    def query(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    def snapshots(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM balance_history ORDER BY at")

    def last(self) -> Row[Any]:
        return self.snapshots()[-1]

    def breaks(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM breaks ORDER BY asset, first_seen_at")

    def titles(self) -> list[str]:
        return [row.title for row in self.query("SELECT title FROM notifications ORDER BY notification_id")]


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    """An account with 10 000 USDT on an exchange where SOL is at 100, BNB at 600, BTC at 50 000."""
    engine = make_engine(database_url)
    clock = HandClock(MORNING)
    desk = Desk(
        engine,
        DatabasePortfolioStore(engine),
        DatabaseBalances(engine),
        DatabaseMarketFacts(engine),
        clock,
        HandExchange(clock, USDT="10000"),
    )
    desk.portfolio.ensure_account(Account(ACCOUNT, AccountKind.LIVE, "hand", "USDT"), clock.now())
    for symbol in UNIVERSE:
        base, _, quote = symbol.partition("/")
        desk.query(
            "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
            " min_notional, status_since, refreshed_at)"
            " VALUES (:symbol, :base, :quote, 'other', 'trading', 0.01, 0.001, 0.001, 5, :now, :now)",
            symbol=symbol,
            base=base,
            quote=quote,
            now=clock.now(),
        )
    desk.exchange.price(SOL="100", BNB="600", BTC="50000")
    yield desk
    engine.dispose()
