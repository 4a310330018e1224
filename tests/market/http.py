"""Synchronising from a simulator over HTTP with the real client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.sync import DatabaseSync
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.market.run import SyncOptions
from lib.market.sync import sync_market_data
from lib.market.sync_result import SyncResult
from tests.market.exchanges import DrivenClock
from tests.simulators import RunningSimulator

UNLIMITED = 10**9


async def sync_over_http(
    engine: Engine,
    simulator: RunningSimulator,
    at: datetime,
    symbols: Sequence[str],
    history: Mapping[str, timedelta],
    timeout_seconds: float = 5,
) -> SyncResult:
    """Synchronise once with a new client, as another process would; waiting moves our clock, which starts at `at`."""
    clock = DrivenClock(at)
    venue = Venue("simulator", simulator.url, weight_per_minute=UNLIMITED, timeout_seconds=timeout_seconds)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds=seconds)

    exchange = make_exchange(venue, ledger=BudgetStore(engine), clock=clock, sleep=sleep)
    options = SyncOptions(history, backfill_for=timedelta(minutes=10))
    try:
        return await sync_market_data(
            exchange=exchange, store=DatabaseSync(engine), clock=clock, options=options, symbols=symbols
        )
    finally:
        await exchange.close()
