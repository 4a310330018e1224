"""Two runs at once do the work once; a run that died leaves no lock and nothing half-written."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from lib.adapters.database.sync import DatabaseSync, DatabaseSyncSession
from lib.errors import ExchangeUnavailable
from lib.market.series import Series
from lib.ports import CandlePage
from lib.results import Status
from tests.market.desks import Desk
from tests.market.exchanges import BTC, BTC_5M, ETH, NOON, list_candles

NINE_DAYS = timedelta(days=9)


class Gate:
    """Holds every answer back until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, series: Series, since: datetime, page: CandlePage) -> CandlePage:
        self.reached.set()
        await self.opened.wait()
        return page


@dataclass(frozen=True)
class TellingSession(DatabaseSyncSession):
    """Tells when it has tried to take locks."""

    told: Callable[[], object]

    def try_lock(self, series: Collection[Series]) -> set[Series]:
        taken = super().try_lock(series)
        self.told()
        return taken


@dataclass(frozen=True)
class TellingSync(DatabaseSync):
    """Opens sessions that tell."""

    told: Callable[[], object]

    @contextmanager
    def open_session(self) -> Iterator[DatabaseSyncSession]:
        with super().open_session() as session:
            yield TellingSession(session.connection, self.told)


async def test_two_runs_at_once_ask_for_every_candle_once(desk: Desk) -> None:
    desk.change(wait=timedelta(seconds=60))
    gate = desk.exchange.bend = Gate()
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(desk.sync(BTC, ETH))
    await gate.reached.wait()
    store = TellingSync(desk.engine, partial(loop.call_soon_threadsafe, gate.opened.set))
    second = asyncio.create_task(desk.sync(BTC, ETH, store=store))
    results = [await first, await second]
    assert [result.counts["candles"] for result in results] == [48, 0]
    assert {item.detail for item in results[1].items} == {"fresh, synced by another run"}
    assert len(desk.exchange.asked) == 2


async def test_a_run_does_not_wait_for_another_one_for_ever(desk: Desk) -> None:
    desk.change(wait=timedelta(milliseconds=50))
    gate = desk.exchange.bend = Gate()
    first = asyncio.create_task(desk.sync())
    await gate.reached.wait()
    second = await desk.sync()
    assert [(item.status, item.detail) for item in second.items] == [(Status.SKIPPED, "being synced by another run")]
    gate.opened.set()
    assert (await first).counts["candles"] == 24


async def test_a_run_does_what_is_free_while_another_one_holds_the_rest(desk: Desk) -> None:
    gate = desk.exchange.bend = Gate()
    first = asyncio.create_task(desk.sync(BTC))
    await gate.reached.wait()
    desk.exchange.bend = None
    second = await desk.sync(BTC, ETH)
    assert [item.detail for item in second.items] == ["being synced by another run", "24 new candles"]
    gate.opened.set()
    await first


async def test_what_another_run_left_undone_is_done_here(desk: Desk) -> None:
    desk.change(wait=timedelta(seconds=60))
    gate = Gate()

    async def fail(series: Series, since: datetime, page: CandlePage) -> CandlePage:
        await gate(series, since, page)
        desk.exchange.bend = None
        raise ExchangeUnavailable("timeout")

    desk.exchange.bend = fail
    first = asyncio.create_task(desk.sync())
    await gate.reached.wait()
    second = asyncio.create_task(desk.sync())
    gate.opened.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - timedelta(hours=2), NOON)
    assert "all 1 items failed" in str(results[0])


async def test_a_cancelled_run_gives_its_locks_back_and_keeps_what_is_committed(desk: Desk) -> None:
    desk.change(history={"5m": NINE_DAYS})
    reached = asyncio.Event()

    async def stop_at_the_second_page(series: Series, since: datetime, page: CandlePage) -> CandlePage:
        if len(desk.exchange.asked) == 2:
            reached.set()
            await asyncio.Event().wait()
        return page

    desk.exchange.bend = stop_at_the_second_page
    run = asyncio.create_task(desk.sync())
    await reached.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(desk.candles(BTC_5M)) == 1000
    desk.exchange.bend = None
    desk.exchange.asked.clear()
    assert (await desk.sync()).counts["candles"] == 1592
    assert len(desk.exchange.asked) == 2


PROGRAM = """
import asyncio, sys
from datetime import timedelta
from lib.adapters.database.engine import make_engine
from tests.market.desks import Desk
from tests.market.exchanges import DrivenClock, HandExchange

async def stop(series, since, page):
    if len(desk.exchange.asked) == 3:
        print("at the third page", flush=True)
        await asyncio.Event().wait()
    return page

clock = DrivenClock()
desk = Desk(make_engine(sys.argv[1]), clock, HandExchange(clock))
desk.exchange.bend = stop
desk.change(history={"5m": timedelta(days=9)})
asyncio.run(desk.sync())
"""


async def test_after_kill_9_the_next_run_carries_on_where_it_was_cut_off(desk: Desk) -> None:
    url = desk.engine.url.render_as_string(hide_password=False)
    child = subprocess.Popen(  # noqa: ASYNC220 nothing else runs in this loop
        [sys.executable, "-c", PROGRAM, url], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "at the third page\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert len(desk.candles(BTC_5M)) == 2000
    assert desk.status(BTC_5M).candle_count == 2000
    desk.change(history={"5m": NINE_DAYS}, wait=timedelta(seconds=30))  # the server notices the dead process soon
    result = await desk.sync()
    assert (result.counts["candles"], result.requests) == (592, 1)
    assert desk.candles(BTC_5M) == list_candles(BTC_5M, NOON - NINE_DAYS, NOON)
