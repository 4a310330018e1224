from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.budget import (
    LEFT_BY_CANDLES_RATIO,
    LEFT_BY_FILLS_RATIO,
    LONGEST_PAUSE,
    MARGIN,
    WINDOW,
    Held,
    Pause,
    Taken,
    WeightBudget,
    calc_pause,
)
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.errors import DatabaseUnavailable, RateLimited
from tests.adapters.exchange.peer import NOW, Answer, DrivenClock, Peer

HOST = "api.example.com"
MINUTE = NOW.replace(second=0)
NEXT = MINUTE + WINDOW


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


PAUSES = [
    ("a first 429 lasts a minute", None, None, False, Pause(NOW + seconds(60), 1, False)),
    ("a first 418 lasts two", None, None, True, Pause(NOW + seconds(120), 1, True)),
    ("Retry-After is honoured", None, seconds(7), False, Pause(NOW + seconds(7), 1, False)),
    ("again soon after doubles", Pause(NOW - seconds(5), 1, False), None, False, Pause(NOW + seconds(120), 2, False)),
    ("a third time doubles again", Pause(NOW, 2, False), None, False, Pause(NOW + seconds(240), 3, False)),
    ("a ban again doubles", Pause(NOW - seconds(5), 1, True), None, True, Pause(NOW + seconds(240), 2, True)),
    ("long ago is forgiven", Pause(NOW - seconds(600), 5, True), None, False, Pause(NOW + seconds(60), 1, False)),
    (
        "a request still under way neither doubles nor shortens",
        Pause(NOW + seconds(90), 2, False),
        None,
        False,
        Pause(NOW + seconds(120), 2, False),
    ),
    (
        "a shorter Retry-After does not end a ban",
        Pause(NOW + seconds(300), 1, True),
        seconds(3),
        False,
        Pause(NOW + seconds(300), 1, True),
    ),
    ("no pause is longer than a ban can be", None, timedelta(days=400), True, Pause(NOW + LONGEST_PAUSE, 1, True)),
    ("nor by doubling", Pause(NOW, 10**6, True), None, True, Pause(NOW + LONGEST_PAUSE, 10**6 + 1, True)),
]


@pytest.mark.parametrize(
    ("previous", "retry_after", "banned", "expected"), [row[1:] for row in PAUSES], ids=[row[0] for row in PAUSES]
)
def test_pause_after_a_refusal(
    previous: Pause | None, retry_after: timedelta | None, banned: bool, expected: Pause
) -> None:
    assert calc_pause(previous, NOW, retry_after, banned) == expected


def test_weight_is_taken_up_to_the_limit_of_the_minute_and_no_further(ledger: BudgetStore) -> None:
    assert ledger.take(HOST, 60, 100, NOW) == Taken(MINUTE, 60)
    assert ledger.take(HOST, 40, 100, NOW) == Taken(MINUTE, 100)
    assert ledger.take(HOST, 1, 100, NOW) == Held(NEXT, paused=False, banned=False)
    assert ledger.take(HOST, 1, 100, NEXT) == Taken(NEXT, 1)


def test_each_exchange_has_its_own_budget(ledger: BudgetStore) -> None:
    ledger.take(HOST, 100, 100, NOW)
    assert ledger.take("testnet.example.com", 100, 100, NOW) == Taken(MINUTE, 100)


def test_what_the_exchange_tells_raises_the_sum_and_never_lowers_it(ledger: BudgetStore) -> None:
    ledger.take(HOST, 10, 100, NOW)
    ledger.raise_used(HOST, MINUTE, 95)
    ledger.raise_used(HOST, MINUTE, 20)
    ledger.raise_used(HOST, MINUTE - WINDOW, 99)
    assert ledger.take(HOST, 5, 100, NOW) == Taken(MINUTE, 100)


def test_a_clock_a_little_behind_shares_the_minute_of_the_others(ledger: BudgetStore) -> None:
    ledger.take(HOST, 60, 100, NEXT)
    assert ledger.take(HOST, 30, 100, NEXT - seconds(1)) == Taken(NEXT, 90)


def test_rows_written_under_a_clock_far_ahead_hold_nobody_up(ledger: BudgetStore) -> None:
    later = NOW + timedelta(days=900)
    ledger.take(HOST, 100, 100, later)
    ledger.pause(HOST, later, None, banned=True)
    assert ledger.take(HOST, 1, 100, NOW) == Taken(MINUTE, 1)


def test_a_pause_holds_everyone_until_its_end(ledger: BudgetStore) -> None:
    pause = ledger.pause(HOST, NOW, seconds(90), banned=True)
    assert ledger.take(HOST, 0, 100, NOW + seconds(89)) == Held(pause.until, paused=True, banned=True)
    assert isinstance(ledger.take(HOST, 0, 100, NOW + seconds(90)), Taken)


def test_twenty_answers_of_one_refusal_make_one_pause(ledger: BudgetStore) -> None:
    for _ in range(20):
        pause = ledger.pause(HOST, NOW, None, banned=False)
    assert pause == Pause(NOW + seconds(60), 1, False)


def budget_of(ledger: BudgetStore, clock: DrivenClock, limit: int = 100, max_wait: float = 30) -> WeightBudget:
    return WeightBudget(ledger, HOST, limit=limit, max_wait=seconds(max_wait), clock=clock, sleep=clock.sleep)


async def test_a_short_wait_for_the_next_minute_is_waited(ledger: BudgetStore, clock: DrivenClock) -> None:
    clock.instant = NEXT - seconds(20)
    budget = budget_of(ledger, clock)
    await budget.acquire(100)
    assert await budget.acquire(2) == Taken(NEXT, 2)
    assert clock.slept == [20 + MARGIN.total_seconds()]


async def test_candles_leave_a_tenth_of_the_minute_and_fills_a_little_to_prices(
    ledger: BudgetStore, clock: DrivenClock
) -> None:
    budget = WeightBudget(ledger, HOST, limit=100, max_wait=timedelta(), clock=clock, sleep=clock.sleep)
    await budget.acquire(90, leave_ratio=LEFT_BY_CANDLES_RATIO)
    with pytest.raises(RateLimited):
        await budget.acquire(1, leave_ratio=LEFT_BY_CANDLES_RATIO)
    await budget.acquire(7, leave_ratio=LEFT_BY_FILLS_RATIO)
    with pytest.raises(RateLimited):
        await budget.acquire(1, leave_ratio=LEFT_BY_FILLS_RATIO)
    assert await budget.acquire(3) == Taken(MINUTE, 100)


async def test_prices_are_told_after_the_first_import_of_hundreds_of_symbols(
    ledger: BudgetStore, clock: DrivenClock, peer: Peer
) -> None:
    peer.reply("account", {"balances": []})
    peer.reply("myTrades", [])
    peer.reply("ticker/price", [{"symbol": "BTCUSDT", "price": "1.0"}])
    venue = Venue("simulator", peer.url, weight_per_minute=1000, max_wait_seconds=0)
    account = make_account(venue, "main", "key", "secret", ledger=ledger, clock=clock)
    exchange = make_exchange(venue, ledger=ledger, clock=clock, known_symbols=lambda: ["BTC/USDT"])
    try:
        await account.fetch_balances()
        imports = [account.fetch_fills(f"S{number}/USDT", 0) for number in range(60)]
        answers = await asyncio.gather(*imports, return_exceptions=True)
        assert Counter(type(answer) for answer in answers) == {list: 47, RateLimited: 13}
        await account.fetch_balances()
        assert await exchange.fetch_prices() == {"BTC/USDT": 1}
    finally:
        await account.close()
        await exchange.close()


class Waiting:
    """Waits for weight until the test lets time go on."""

    def __init__(self, clock: DrivenClock) -> None:
        self.clock, self.begun, self.over = clock, asyncio.Event(), asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.begun.set()
        await self.over.wait()
        self.clock.instant = max(self.clock.instant, NEXT + MARGIN)


async def test_prices_and_the_time_pass_candles_that_wait_for_the_next_minute(
    ledger: BudgetStore, clock: DrivenClock, peer: Peer
) -> None:
    waiting = Waiting(clock)
    peer.reply("klines", [])
    peer.reply("ticker/price", [{"symbol": "BTCUSDT", "price": "1.0"}])
    venue = Venue("simulator", peer.url, weight_per_minute=100, concurrency=3, max_wait_seconds=60)
    exchange = make_exchange(venue, ledger=ledger, clock=clock, known_symbols=lambda: ["BTC/USDT"], sleep=waiting.sleep)
    try:
        candles = [asyncio.create_task(exchange.fetch_candles("BTC/USDT", "5m", NOW)) for _ in range(50)]
        await waiting.begun.wait()
        async with asyncio.timeout(10):
            assert await exchange.fetch_prices() == {"BTC/USDT": 1}
            await exchange.fetch_time()
        assert sum(task.done() for task in candles) == 45
        waiting.over.set()
        await asyncio.gather(*candles)
    finally:
        await exchange.close()


async def test_balances_pass_fills_that_wait_for_the_next_minute(
    ledger: BudgetStore, clock: DrivenClock, peer: Peer
) -> None:
    waiting = Waiting(clock)
    peer.reply("account", {"balances": []})
    peer.reply("myTrades", [])
    venue = Venue("simulator", peer.url, weight_per_minute=1000, concurrency=3, max_wait_seconds=60)
    account = make_account(venue, "main", "key", "secret", ledger=ledger, clock=clock, sleep=waiting.sleep)
    try:
        await account.fetch_balances()
        fills = [asyncio.create_task(account.fetch_fills(f"S{number}/USDT", 0)) for number in range(60)]
        await waiting.begun.wait()
        async with asyncio.timeout(10):
            assert await account.fetch_balances() == {}
        waiting.over.set()
        await asyncio.gather(*fills)
    finally:
        await account.close()


async def test_a_long_wait_is_an_error_that_says_until_when(ledger: BudgetStore, clock: DrivenClock) -> None:
    clock.instant = MINUTE + seconds(10)
    budget = budget_of(ledger, clock)
    await budget.acquire(100)
    with pytest.raises(RateLimited, match=r"weight budget of 100 is spent.*12:01:00 UTC") as caught:
        await budget.acquire(2)
    assert caught.value.retry_at == NEXT
    assert not caught.value.banned
    assert clock.slept == []


async def test_a_clock_that_stands_still_does_not_wait_for_ever(ledger: BudgetStore, clock: DrivenClock) -> None:
    clock.instant = NEXT - seconds(10)

    async def sleep(_: float) -> None:
        return None

    budget = WeightBudget(ledger, HOST, limit=100, max_wait=seconds(30), clock=clock, sleep=sleep)
    await budget.acquire(100)
    with pytest.raises(RateLimited):
        await budget.acquire(2)


async def test_a_database_that_is_down_is_unavailable(clock: DrivenClock) -> None:
    budget = budget_of(BudgetStore(make_engine("postgresql://nobody@127.0.0.1:1/none")), clock)
    with pytest.raises(DatabaseUnavailable, match="request weight"):
        await budget.acquire(1)


async def test_each_request_takes_its_weight_and_believes_the_header(
    exchange: BinanceExchange, peer: Peer, ledger: BudgetStore, budget_engine: Engine
) -> None:
    peer.reply("klines", Answer([], headers={"X-MBX-USED-WEIGHT-1M": "2"}))
    await exchange.fetch_candles("BTC/USDT", "5m", NOW)
    assert used(budget_engine) == 2
    peer.reply("klines", Answer([], headers={"X-MBX-USED-WEIGHT-1M": "5390"}))  # someone else at this address
    await exchange.fetch_candles("BTC/USDT", "5m", NOW)
    assert used(budget_engine) == 5390
    peer.reply("klines", Answer([], headers={"X-MBX-USED-WEIGHT-1M": "12"}))
    await exchange.fetch_candles("BTC/USDT", "5m", NOW)
    assert used(budget_engine) == 5392


def used(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT used_weight FROM exchange_budget")).scalar_one())


async def test_no_request_is_sent_that_the_header_leaves_no_room_for(exchange: BinanceExchange, peer: Peer) -> None:
    peer.clock.instant = MINUTE + seconds(1)
    peer.reply("klines", Answer([], headers={"X-MBX-USED-WEIGHT-1M": "5999"}))
    await exchange.fetch_candles("BTC/USDT", "5m", NOW)
    with pytest.raises(RateLimited):
        await exchange.fetch_candles("BTC/USDT", "5m", NOW)
    assert peer.count("klines") == 1


async def spend_in_another_process(peer: Peer, database_url: str, limit: int, requests: int) -> Counter[str]:
    program = [sys.executable, "-m", "tests.adapters.exchange.spender", peer.url, database_url]
    process = await asyncio.create_subprocess_exec(*program, str(limit), str(requests), stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return Counter(json.loads(output))


async def test_two_processes_together_never_exceed_the_limit(peer: Peer, ledger: BudgetStore, budget_url: str) -> None:
    peer.reply("klines", [])
    first, second = await asyncio.gather(
        *(spend_in_another_process(peer, budget_url, limit=100, requests=40) for _ in range(2))
    )
    assert peer.count("klines") == 45  # of weight 2 each; the last tenth is not for candles
    assert first + second == {"ok": 45, "RateLimited": 35}
    assert first["ok"] > 0
    assert second["ok"] > 0


async def test_a_ban_of_one_process_stops_another(exchange: BinanceExchange, peer: Peer, budget_url: str) -> None:
    peer.reply("klines", Answer({"code": -1003, "msg": "banned"}, 418, {"Retry-After": "600"}))
    with pytest.raises(RateLimited):
        await exchange.fetch_candles("BTC/USDT", "5m", NOW)
    assert await spend_in_another_process(peer, budget_url, limit=6000, requests=3) == {"RateLimited": 3}
    assert peer.count("klines") == 1


async def test_requests_in_flight_are_bounded_counted_and_told_in_the_log(
    venue: Venue, peer: Peer, ledger: BudgetStore, clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lib")
    exchange = make_exchange(replace(venue, concurrency=4), ledger=ledger, clock=clock)
    peer.reply("klines", [])
    peer.gather = 4
    await asyncio.gather(*(exchange.fetch_candles("BTC/USDT", "5m", NOW) for _ in range(30)))
    assert peer.peak == 4
    traffic = exchange.link.traffic
    assert (traffic.requests, traffic.weight, traffic.in_flight) == (30, 60, 0)
    assert traffic.peak_in_flight == 4
    assert traffic.reply_seconds > 0
    assert traffic.budget_seconds > 0
    await exchange.close()
    assert "simulator: 30 requests of weight 60, at most 4 at once, 0 refused" in caplog.text
