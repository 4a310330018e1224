"""Fixtures of the exchange edge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Engine, text

from deployments.postgres import Server
from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from tests.adapters.exchange.peer import DrivenClock, Peer, serve
from tests.databases import TEMPLATE, new_database


@pytest.fixture
def clock() -> DrivenClock:
    return DrivenClock()


@pytest.fixture(scope="session")
def budget_url(migrated_server: Server) -> Iterator[str]:
    """URL of a database for all these tests: each uses the one table, and finds it empty."""
    with new_database(migrated_server, TEMPLATE) as url:
        yield url


@pytest.fixture(scope="session")
def budget_engine(budget_url: str) -> Iterator[Engine]:
    engine = make_engine(budget_url)
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(budget_engine: Engine) -> BudgetStore:
    with budget_engine.begin() as connection:
        connection.execute(text("DELETE FROM exchange_budget"))
    return BudgetStore(budget_engine)


@pytest.fixture
async def peer(clock: DrivenClock) -> AsyncIterator[Peer]:
    async with serve(clock) as running:
        yield running


@pytest.fixture
def venue(peer: Peer) -> Venue:
    return Venue("simulator", url=peer.url, timeout_seconds=5)


@pytest.fixture
async def exchange(venue: Venue, ledger: BudgetStore, clock: DrivenClock) -> AsyncIterator[BinanceExchange]:
    made = make_exchange(
        venue, ledger=ledger, clock=clock, known_symbols=lambda: ["BTC/USDT", "ETH/USDT"], sleep=clock.sleep
    )
    assert isinstance(made, BinanceExchange)
    yield made
    await made.close()


@pytest.fixture
async def account(venue: Venue, ledger: BudgetStore, clock: DrivenClock) -> AsyncIterator[BinanceAccount]:
    made = make_account(venue, "main", "the-api-key", "the-api-secret", ledger=ledger, clock=clock, sleep=clock.sleep)
    yield made
    await made.close()
