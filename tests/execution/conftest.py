"""An account at the simulator over HTTP, its orders in a real database, and one clock that both follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.database.orders import DatabaseOrders
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account
from lib.adapters.exchange.orders import BinanceOrders
from lib.execution.orders import OrderIntent
from lib.execution.placing import Placing, PlacingRules, open_placing
from tests.execution.test_orders import intend
from tests.simulators import START_AT, RunningSimulator

KEY, SECRET = "trader", "trader-secret"


@dataclass
class SharedClock:
    """Stands still until somebody waits; then the simulator's clock moves with it."""

    simulator: RunningSimulator
    instant: datetime = START_AT

    def now(self) -> datetime:
        return self.instant

    async def wait(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)
        await asyncio.to_thread(self.simulator.control.advance, seconds)


@dataclass
class Bench:
    """Everything that places orders, and what came of it on both sides."""

    simulator: RunningSimulator
    engine: Engine
    clock: SharedClock
    account: BinanceAccount
    orders: BinanceOrders
    checked: list[str] = field(default_factory=list)
    rules: PlacingRules = field(default_factory=PlacingRules)

    @property
    def store(self) -> DatabaseOrders:
        return DatabaseOrders(self.engine)

    async def allow(self, intent: OrderIntent) -> None:
        self.checked.append(intent.client_order_id)

    def open(self, **changes: Any) -> AbstractAsyncContextManager[Placing]:
        parts = {"store": self.store, "venue": self.orders, "check": self.allow, "clock": self.clock}
        return open_placing("main", **parts | {"rules": self.rules, "wait": self.clock.wait} | changes)  # type: ignore[arg-type]  # by name

    def intend(self, name: str = "fks-1", **changes: Any) -> OrderIntent:
        return intend(client_order_id=name, created_at=self.clock.now(), **{"quantity": Decimal("0.01")} | changes)

    def arm(self, kind: str, method: str = "POST", path: str = "/api/v3/order", **how: Any) -> None:
        self.simulator.control.arm(kind, path, method, **how)

    def query(self, statement: str, **values: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    def booked(self) -> list[tuple[str, str, Decimal]]:
        """The orders in the simulator's books: name, status, executed."""
        orders = self.simulator.control.request("GET", "/books")["accounts"][KEY]["orders"]
        return [(one["client_order_id"], one["status"], Decimal(one["executed"])) for one in orders]

    def fills_agree(self) -> bool:
        """Whether our fills are those of the simulator's books, to the last digit."""
        trades = self.simulator.control.request("GET", "/books")["accounts"][KEY]["trades"]
        theirs = {(one["trade_id"], Decimal(one["quantity"]), Decimal(one["fee"]), one["fee_asset"]) for one in trades}
        return theirs == {tuple(row) for row in self.query("SELECT fill_id, quantity, fee, fee_asset FROM order_fills")}

    def outcomes(self) -> list[str]:
        return [row.outcome for row in self.query("SELECT outcome FROM order_attempts ORDER BY number")]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO accounts VALUES ('main', 'live', 'simulator', 'USDT', now())"))
    yield engine
    engine.dispose()


@pytest.fixture
async def bench(simulator: RunningSimulator, engine: Engine) -> AsyncIterator[Bench]:
    simulator.control.scenario("flat")
    simulator.control.set_price("BTCUSDT", "50000")
    held = {"USDT": "100000", "BTC": "2"}
    simulator.control.request("POST", "/accounts", api_key=KEY, api_secret=SECRET, balances=held)
    clock = SharedClock(simulator)
    venue = Venue("simulator", url=simulator.url, timeout_seconds=1)
    account = make_account(venue, "main", KEY, SECRET, ledger=BudgetStore(engine), clock=clock, sleep=clock.wait)
    yield Bench(simulator, engine, clock, account, BinanceOrders(account.link, "main"))
    await account.close()
