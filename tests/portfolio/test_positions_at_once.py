"""Two runs at once, and a run that is killed: nothing is doubled, lost or half written."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from threading import Barrier

from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.portfolio.stores import Listing
from tests.portfolio.conftest import Desk
from tests.portfolio.hand_exchange import HandExchange
from tests.portfolio.samples import ACCOUNT


class MeetingExchange(HandExchange):
    """Answers both runs' question for prices at the same moment, so that both come to write together."""

    barrier: Barrier

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        self.barrier.wait(timeout=30)
        return await super().fetch_prices()


def test_two_runs_at_once_book_every_fill_once(desk: Desk) -> None:
    exchange = MeetingExchange(desk.clock, USDT="10000")
    exchange.barrier = Barrier(2)
    exchange.prices = desk.exchange.prices
    for price in ("100", "101", "99"):
        exchange.trade("buy", "1", price, "0.001 SOL")
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(asyncio.run, replace(desk, exchange=exchange).update()) for _ in range(2)]
        results = [run.result() for run in runs]
    assert sorted(result.counts["new fills"] for result in results) == [0, 3]
    assert desk.query("SELECT count(*) FROM fills")[0][0] == 3
    assert desk.held().position.quantity == Decimal("2.997")
    assert desk.held().position.cost_quote == 300


class DeadlyMarket(DatabaseMarketFacts):
    """Kills its process when asked for the second time: within the transaction, after the fills were written."""

    calls = 0

    def load_listings(self, symbols: Collection[str]) -> Mapping[str, Listing]:
        self.calls += 1
        if self.calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().load_listings(symbols)


def run_and_die(desk: Desk, url: str) -> None:
    """In another process, on connections of its own."""
    engine = make_engine(url)
    mortal = replace(desk, engine=engine, store=DatabasePortfolioStore(engine), market=DeadlyMarket(engine))
    asyncio.run(mortal.update())


async def test_a_run_killed_while_writing_leaves_nothing_and_the_next_one_asks_again(
    desk: Desk, database_url: str
) -> None:
    await desk.update()
    desk.clock.pass_time(minutes=15)
    desk.exchange.trade("buy", "2", "100")
    child = multiprocessing.get_context("fork").Process(target=run_and_die, args=(desk, database_url))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL
    assert desk.query("SELECT count(*) FROM fills")[0][0] == 0
    assert desk.store.load_held(ACCOUNT) == []
    desk.clock.pass_time(minutes=30)
    result = await desk.update()
    assert result.counts["new fills"] == 1
    assert desk.held().position.quantity == 2
