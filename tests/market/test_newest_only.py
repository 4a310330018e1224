"""An exchange that ignores an old start and answers with its newest candles proves nothing about older ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import text

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.budget import WeightBudget
from lib.adapters.exchange.client import Venue, host_of, make_client
from lib.adapters.exchange.generic import GenericExchange
from lib.adapters.exchange.link import Link
from lib.market.gaps import WITHHELD, GapState, Span
from lib.market.run import SyncOptions
from lib.market.sync import sync_market_data
from lib.market.sync_result import SyncResult
from tests.market.desks import Desk
from tests.market.exchanges import BTC, BTC_5M, DrivenClock
from tests.simulators import START_AT, RunningSimulator

FIVE = timedelta(minutes=5)
NOW = START_AT.replace(second=0)
WANTED_FROM = NOW - timedelta(days=5)
HISTORY = {"5m": timedelta(days=5)}
HOLE = Span(NOW - timedelta(hours=6), NOW - timedelta(hours=5))


@asynccontextmanager
async def serve_without(simulator: RunningSimulator, *ignored: str) -> AsyncIterator[str]:
    """Run a server before the simulator that does not look at these parameters of klines."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            query = {
                name: value
                for name, value in request.query.items()
                if name not in ignored or not request.path.endswith("/klines")
            }
            async with session.get(f"{simulator.url}{request.path}", params=query) as answer:
                return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")

        app = web.Application()
        app.router.add_get("/{path:.*}", forward)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


async def sync(desk: Desk, url: str) -> SyncResult:
    """Synchronise through ccxt's unified calls, as with any exchange but Binance."""
    venue = Venue("simulator", url=url, timeout_seconds=10)
    client = make_client(venue)
    budget = WeightBudget(
        BudgetStore(desk.engine), host_of(client), limit=6000, max_wait=timedelta(seconds=30), clock=desk.clock
    )
    exchange = GenericExchange(Link(client, venue, budget, desk.clock))
    options = SyncOptions(HISTORY, backfill_for=timedelta(minutes=10))
    try:
        return await sync_market_data(
            exchange=exchange, store=desk.store, clock=desk.clock, options=options, symbols=[BTC]
        )
    finally:
        await exchange.close()


@pytest.fixture
def at_simulator(desk: Desk, simulator: RunningSimulator) -> Desk:
    simulator.control.add_missing(*HOLE, "BTCUSDT")
    desk.clock = DrivenClock(START_AT)
    return desk


def pass_time(desk: Desk, simulator: RunningSimulator, duration: timedelta) -> None:
    desk.clock.advance(seconds=duration.total_seconds())
    simulator.control.advance(duration.total_seconds())


def load_oldest(desk: Desk) -> datetime:
    with desk.engine.connect() as connection:
        oldest: datetime = connection.scalar(text("SELECT min(opened_at) FROM candles"))
    return oldest


@pytest.mark.parametrize(
    ("ignored", "window"), [(("startTime",), 1000), (("startTime", "limit"), 500)], ids=["start", "start and limit"]
)
async def test_history_that_an_exchange_does_not_show_stays_an_open_gap(
    at_simulator: Desk, simulator: RunningSimulator, ignored: tuple[str, ...], window: int
) -> None:
    desk = at_simulator
    async with serve_without(simulator, *ignored) as url:
        first = await sync(desk, url)
        shown_from = load_oldest(desk)
        assert shown_from == NOW - (window - 1 + 12) * FIVE  # the running one, and those of the hole
        assert first.counts["gaps found"] == 2
        for _ in range(3):
            pass_time(desk, simulator, timedelta(days=1))
            await sync(desk, url)
    gaps = {gap.span: (gap.state, gap.reason) for gap in desk.gaps(BTC_5M)}
    assert gaps[Span(WANTED_FROM, shown_from)] == (GapState.OPEN, WITHHELD)
    assert gaps[HOLE][0] is GapState.VERIFIED_ABSENT


async def test_a_window_that_slid_on_while_we_were_away_leaves_an_open_gap_too(
    at_simulator: Desk, simulator: RunningSimulator
) -> None:
    desk = at_simulator
    async with serve_without(simulator, "startTime", "limit") as url:
        await sync(desk, url)
        pass_time(desk, simulator, timedelta(days=2))
        await sync(desk, url)
        await sync(desk, url)
    missed = Span(NOW, NOW + timedelta(days=2) - 499 * FIVE)
    assert (missed, GapState.OPEN, WITHHELD) in [(gap.span, gap.state, gap.reason) for gap in desk.gaps(BTC_5M)]


async def test_an_exchange_that_goes_back_where_it_is_asked_to_is_believed_about_every_hole(
    at_simulator: Desk, simulator: RunningSimulator
) -> None:
    desk = at_simulator
    oldest = Span(WANTED_FROM, WANTED_FROM + timedelta(hours=8))
    simulator.control.add_missing(*oldest, "BTCUSDT")
    async with serve_without(simulator) as url:
        await sync(desk, url)
    assert [(gap.span, gap.state) for gap in desk.gaps(BTC_5M)] == [
        (oldest, GapState.VERIFIED_ABSENT),
        (HOLE, GapState.VERIFIED_ABSENT),
    ]


async def test_when_the_asked_start_lies_within_the_newest_candles_these_prove_what_is_absent(
    at_simulator: Desk, simulator: RunningSimulator
) -> None:
    desk = at_simulator
    async with serve_without(simulator) as url:
        await sync(desk, url)
        desk.execute("DELETE FROM candle_gaps")
        desk.execute(
            "INSERT INTO candle_gaps (symbol, timeframe, starts_at, ends_at, state, reason, attempts, found_at) "
            "VALUES (:symbol, '5m', :start, :end, 'open', 'test', 0, :at)",
            symbol=BTC, start=HOLE.start, end=HOLE.end, at=NOW,
        )  # fmt: skip
        await sync(desk, url)
    assert [(gap.span, gap.state) for gap in desk.gaps(BTC_5M)] == [(HOLE, GapState.VERIFIED_ABSENT)]
