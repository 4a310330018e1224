"""An account's plans on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.rebalancing import DatabasePlans
from lib.allocation.plan import RebalancePlan, plan_rebalance
from lib.allocation.stores import StoredPlan
from lib.portfolio.accounts import Account, AccountKind
from tests.allocation.samples import asset, hold, listing, pair_rules
from tests.portfolio.hand_exchange import HandClock
from tests.portfolio.samples import ACCOUNT

LISTINGS = {"BTC/USDT": listing("0.00001"), "SOL/USDT": listing("0.001"), "DOGE/USDT": listing("1")}


def make_plan(btc: str = "50000", sol: str | None = "100") -> RebalancePlan:
    """Too much BTC, no SOL."""
    account = hold("2000", asset("BTC", "0.16", btc), asset("SOL", "0", sol))
    return plan_rebalance(account, LISTINGS, pair_rules("0.001"))


@dataclass
class Archive:
    """Where plans are kept, and the clock."""

    engine: Engine
    store: DatabasePlans
    clock: HandClock

    def add(self, plan: RebalancePlan | None = None) -> StoredPlan:
        with self.store.open_plans(ACCOUNT) as book:
            return book.add(plan or make_plan(), code_version="1", reasons=("BTC is too much",), now=self.clock.now())

    def query(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    def states(self) -> list[str]:
        return [row.state for row in self.query("SELECT state FROM rebalance_plans ORDER BY plan_id")]

    def messages(self) -> list[Row[Any]]:
        return self.query("SELECT * FROM notifications ORDER BY notification_id")


@pytest.fixture
def archive(database_url: str) -> Iterator[Archive]:
    engine = make_engine(database_url)
    clock = HandClock()
    accounts = DatabasePortfolioStore(engine)
    for name in (ACCOUNT, "other"):
        accounts.ensure_account(Account(name, AccountKind.LIVE, "hand", "USDT"), clock.now())
    yield Archive(engine, DatabasePlans(engine), clock)
    engine.dispose()
