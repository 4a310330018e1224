"""An exchange that answers slowly is asked for less at once; one that is away is soon left alone."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.errors import AllItemsFailed
from lib.market.asking import CandleSource
from lib.market.series import Series
from lib.market.slots import Slots
from lib.market.sync_result import SyncResult
from lib.results import Status
from tests.market.exchanges import DrivenClock
from tests.market.http import UNLIMITED, sync_over_http
from tests.simulators import START_AT, RunningSimulator

KLINES = "/api/v3/klines"
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "ADA/USDT", "LINK/USDT")
HISTORY = dict.fromkeys(("5m", "15m", "30m", "1h", "2h"), timedelta(hours=8))
SERIES = len(SYMBOLS) * len(HISTORY)
TIMEOUT = 1.0


def sync(engine: Engine, simulator: RunningSimulator) -> SyncResult:
    return asyncio.run(sync_over_http(engine, simulator, START_AT, SYMBOLS, HISTORY, TIMEOUT))


def test_twenty_requests_that_all_time_out_cost_no_series_its_candles(
    engine: Engine, simulator: RunningSimulator
) -> None:
    simulator.control.arm("timeout_before", path=KLINES, count=20)
    result = sync(engine, simulator)
    assert (result.status, result.failed) == (Status.OK, ())
    assert result.requests == SERIES + 20


def test_a_run_with_an_exchange_that_answers_nothing_any_more_ends_soon(
    engine: Engine, simulator: RunningSimulator
) -> None:
    simulator.control.arm("timeout_before", path=KLINES, count=0)
    started = time.monotonic()
    with pytest.raises(AllItemsFailed) as caught:
        sync(engine, simulator)
    assert time.monotonic() - started < 10 * TIMEOUT
    asked = simulator.control.stats()["requests"]
    assert asked < SERIES
    told = list(caught.value.errors.values())
    assert len(told) == SERIES
    assert any(
        words.startswith("Not asked after 3 timeouts in a row of requests sent one at a time: simulator did not answer")
        and "within 1 s" in words
        and "FKS_EXCHANGE_TIMEOUT_SECONDS" in words
        for words in told
    )


def test_an_exchange_that_refuses_connections_is_not_asked_twice_and_not_called_slow(
    engine: Engine, simulator: RunningSimulator
) -> None:
    simulator.control.arm("drop_before", path=KLINES, count=0)
    with pytest.raises(AllItemsFailed) as caught:
        sync(engine, simulator)
    assert all("could not be reached for klines of" in words for words in caught.value.errors.values())
    assert not any("FKS_EXCHANGE" in words for words in caught.value.errors.values())


def test_a_series_that_times_out_twice_says_how_long_it_was_waited_for_and_what_helps(
    engine: Engine, simulator: RunningSimulator
) -> None:
    simulator.control.arm("timeout_before", path=KLINES, symbol="ETHUSDT", count=0)
    result = sync(engine, simulator)
    assert {item.name for item in result.failed} <= {f"ETH/USDT {timeframe}" for timeframe in HISTORY}
    told = [item.detail for item in result.failed if "Asked twice in this run" in item.detail]
    assert told
    assert all("simulator did not answer klines of ETH/USDT" in words and "within 1 s" in words for words in told)
    assert all("raise FKS_EXCHANGE_TIMEOUT_SECONDS or lower FKS_EXCHANGE_CONCURRENCY" in words for words in told)


async def test_after_a_timeout_fewer_are_asked_at_once_and_prices_wait_for_none_of_them(
    engine: Engine, simulator: RunningSimulator
) -> None:
    simulator.control.arm("timeout_before", path=KLINES, count=0)
    clock = DrivenClock(START_AT)
    venue = Venue("simulator", simulator.url, weight_per_minute=UNLIMITED, timeout_seconds=TIMEOUT)
    exchange = make_exchange(venue, ledger=BudgetStore(engine), clock=clock)
    source = CandleSource(exchange, clock.now, 4)
    since = START_AT - timedelta(hours=1)
    waiting = [asyncio.create_task(source.fetch(Series(symbol, "5m"), since, 10)) for symbol in SYMBOLS]
    try:
        async with asyncio.timeout(10 * TIMEOUT):
            while exchange.link.traffic.requests < 5:  # noqa: ASYNC110  no event tells that the first four timed out
                await asyncio.sleep(0.01)
        assert exchange.link.traffic.in_flight == 1
        assert "BTC/USDT" in await exchange.fetch_prices()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await exchange.close()


async def test_slots_halve_after_a_timeout_and_grow_by_one_after_as_many_successes() -> None:
    slots = Slots(4)
    counts = []
    async with slots.take(), slots.take(), slots.take(), slots.take():
        slots.shrink()
        counts.append(slots.count)
        slots.shrink()
        slots.shrink()
        counts.append(slots.count)
    for _ in range(1 + 2 + 3 + 4):
        slots.grow()
        counts.append(slots.count)
    assert counts == [2, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4]


async def test_half_of_what_is_in_flight_is_less_than_half_of_the_slots() -> None:
    slots = Slots(20)
    async with slots.take(), slots.take(), slots.take():
        slots.shrink()
    assert slots.count == 1


async def test_who_waits_gets_a_slot_when_one_is_free_again_and_no_sooner() -> None:
    slots = Slots(2)
    entered: list[int] = []
    leave = [asyncio.Event() for _ in range(5)]

    async def work(number: int) -> None:
        async with slots.take():
            entered.append(number)
            if number == 0:
                slots.shrink()
            await leave[number].wait()

    async def settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(work(number))
        await settle()
        seen = [list(entered)]
        for number in range(5):
            leave[number].set()
            await settle()
            seen.append(list(entered))
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
