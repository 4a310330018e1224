"""A portfolio on a real database, beside an exchange whose trades are made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.position_report import PositionsUpdate
from lib.portfolio.stops import check_stop_loss
from lib.portfolio.stores import HeldPosition
from lib.results import TaskResult
from tests.portfolio.hand_exchange import HandClock, HandExchange
from tests.portfolio.samples import ACCOUNT
from tests.portfolio.updating import update_positions

UNIVERSE = ("SOL/USDT", "BNB/USDT", "ADA/USDT")
LISTED = (*UNIVERSE, "DOGE/USDT")


@dataclass
class Desk:
    """Everything an account's run needs, and what is stored afterwards."""

    engine: Engine
    store: DatabasePortfolioStore
    market: DatabaseMarketFacts
    clock: HandClock
    exchange: HandExchange
    universe: tuple[str, ...] = UNIVERSE

    async def update(self) -> PositionsUpdate:
        return await update_positions(
            account=ACCOUNT,
            exchange=self.exchange,
            exchange_account=self.exchange,
            store=self.store,
            market=self.market,
            outbox=NotificationStore(self.engine),
            clock=self.clock,
            universe=self.universe,
        )

    def check(self) -> TaskResult:
        return check_stop_loss(
            account=ACCOUNT,
            store=self.store,
            clock=self.clock,
            max_age=timedelta(seconds=120),
            realert=timedelta(minutes=30),
        )

    async def run(self, **minutes: float) -> TaskResult:
        """Let time pass, then do what the chain does."""
        self.clock.pass_time(**minutes)
        await self.update()
        return self.check()

    def held(self, symbol: str = "SOL/USDT") -> HeldPosition:
        (one,) = [held for held in self.store.load_held(ACCOUNT) if held.symbol == symbol]
        return one

    def query(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    def list_symbol(self, symbol: str) -> None:
        """Make the exchange known to list the symbol."""
        base, _, quote = symbol.partition("/")
        self.query(
            "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
            " min_notional, status_since, refreshed_at)"
            " VALUES (:symbol, :base, :quote, 'other', 'trading', 0.01, 0.001, 0.001, 5, :now, :now)",
            symbol=symbol,
            base=base,
            quote=quote,
            now=self.clock.now(),
        )

    def messages(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM notifications ORDER BY notification_id")


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    engine = make_engine(database_url)
    clock = HandClock()
    desk = Desk(
        engine,
        DatabasePortfolioStore(engine),
        DatabaseMarketFacts(engine),
        clock,
        HandExchange(clock, USDT="10000"),
    )
    desk.store.ensure_account(Account(ACCOUNT, AccountKind.LIVE, "hand", "USDT"), clock.now())
    for symbol in LISTED:
        desk.list_symbol(symbol)
    desk.exchange.price(SOL="100", BNB="600", ADA="0.5", DOGE="0.1")
    yield desk
    engine.dispose()
