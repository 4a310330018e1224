"""The ports against the exchange simulator, over HTTP, with the real ccxt client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ccxt.async_support as ccxt
import httpx
import pytest

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue, make_client
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.errors import (
    BadAnswer,
    CredentialsRefused,
    ExchangeSlow,
    ExchangeUnavailable,
    FksError,
    RateLimited,
    UnknownSymbol,
)
from lib.market.symbols import SymbolStatus
from lib.portfolio.fills import Side
from lib.units import to_milliseconds
from tests.adapters.exchange.peer import DrivenClock
from tests.simulators import API_KEY, API_SECRET, START_AT, RunningSimulator, running_simulator

HOUR = timedelta(hours=1)
SINCE = START_AT.replace(minute=0, second=0) - 5 * HOUR


@pytest.fixture
def clock() -> DrivenClock:
    return DrivenClock(START_AT)


@pytest.fixture
def venue(simulator: RunningSimulator) -> Venue:
    return Venue("simulator", url=simulator.url, timeout_seconds=5)


@pytest.fixture
async def exchange(venue: Venue, ledger: BudgetStore, clock: DrivenClock) -> AsyncIterator[BinanceExchange]:
    made = make_exchange(venue, ledger=ledger, clock=clock, sleep=clock.sleep)
    assert isinstance(made, BinanceExchange)
    yield made
    await made.close()


@pytest.fixture
async def account(venue: Venue, ledger: BudgetStore, clock: DrivenClock) -> AsyncIterator[BinanceAccount]:
    made = make_account(venue, "demo", API_KEY, API_SECRET, ledger=ledger, clock=clock, sleep=clock.sleep)
    yield made
    await made.close()


async def test_the_exchange_s_time_and_its_distance_from_ours(exchange: BinanceExchange, clock: DrivenClock) -> None:
    assert await exchange.fetch_time() == START_AT
    clock.move(seconds=-10)
    assert await exchange.fetch_time() == START_AT
    assert exchange.link.clock_offset == timedelta(seconds=10)


async def test_symbols_with_their_status(exchange: BinanceExchange, simulator: RunningSimulator) -> None:
    simulator.control.halt("SOLUSDT")
    simulator.control.delist("DOTUSDT")
    symbols = await exchange.fetch_symbols()
    assert symbols["BTC/USDT"].status is SymbolStatus.TRADING
    assert symbols["SOL/USDT"].status is SymbolStatus.HALTED
    assert "DOT/USDT" not in symbols
    assert len(symbols) == 9
    assert symbols["BTC/USDT"].price_step == Decimal("0.01")


async def test_candles_are_those_of_the_exchange(exchange: BinanceExchange, simulator: RunningSimulator) -> None:
    page = await exchange.fetch_candles("ETH/USDT", "1h", SINCE)
    told = simulator.get("/klines", symbol="ETHUSDT", interval="1h", startTime=to_milliseconds(SINCE))
    assert len(page.candles) == len(told) == 6  # five closed and the running one
    assert page.rejected == ()
    for candle, row in zip(page.candles, told, strict=True):
        assert to_milliseconds(candle.opened_at) == row[0]
        assert [candle.open, candle.high, candle.low, candle.close, candle.volume] == [float(x) for x in row[1:6]]
        assert (candle.quote_volume, candle.trade_count) == (float(row[7]), row[8])


async def test_candles_page_forward_from_the_wanted_time(exchange: BinanceExchange) -> None:
    page = await exchange.fetch_candles("BTC/USDT", "1h", SINCE + timedelta(minutes=1), limit=2)
    assert [candle.opened_at for candle in page.candles] == [SINCE + HOUR, SINCE + 2 * HOUR]


async def test_prices_are_exact_and_complete(exchange: BinanceExchange, simulator: RunningSimulator) -> None:
    simulator.control.set_price("BTCUSDT", "50123.45")
    prices = await exchange.fetch_prices()
    assert prices["BTC/USDT"] == Decimal("50123.45")
    told = {row["symbol"]: Decimal(row["price"]) for row in simulator.get("/ticker/price")}
    assert {name.replace("/", ""): price for name, price in prices.items()} == told


async def test_a_symbol_the_exchange_forgot_is_unknown(exchange: BinanceExchange, simulator: RunningSimulator) -> None:
    simulator.control.delist("DOTUSDT")
    with pytest.raises(UnknownSymbol, match="DOT/USDT"):
        await exchange.fetch_candles("DOT/USDT", "1h", SINCE)


async def test_balances_and_fills_follow_an_order_made_elsewhere(
    account: BinanceAccount, venue: Venue, simulator: RunningSimulator
) -> None:
    before = await account.fetch_balances()
    known = await account.fetch_fills("BTC/USDT", 0)
    next_id = known[-1].fill_id + 1 if known else 0
    other = make_client(venue, API_KEY, API_SECRET)  # by hand, with a plain ccxt client
    other.nonce = lambda: to_milliseconds(START_AT)
    order = await other.create_order("BTC/USDT", "market", "buy", 0.01)
    await other.close()

    fills = await account.fetch_fills("BTC/USDT", next_id)
    assert sum(fill.quantity for fill in fills) == Decimal("0.01")
    assert {(fill.side, fill.order_id, fill.account) for fill in fills} == {(Side.BUY, order["id"], "demo")}
    assert all(fill.fill_id >= next_id and fill.filled_at == START_AT and fill.fee >= 0 for fill in fills)
    after = await account.fetch_balances()
    cost = sum((fill.price * fill.quantity for fill in fills), Decimal())
    in_quote = sum((fill.fee for fill in fills if fill.fee_asset == "USDT"), Decimal())
    assert before["USDT"].total - after["USDT"].total == cost + in_quote
    assert list(await account.fetch_fills("BTC/USDT", next_id)) == fills
    assert await account.fetch_fills("BTC/USDT", fills[-1].fill_id + 1) == []


@pytest.mark.parametrize("seconds", [-3600, -10, 10, 3600])
async def test_a_machine_whose_clock_is_wrong_can_sign(
    account: BinanceAccount, clock: DrivenClock, seconds: float
) -> None:
    clock.move(seconds=seconds)
    assert "USDT" in await account.fetch_balances()


async def test_the_exchange_s_clock_may_move_while_we_are_connected(
    account: BinanceAccount, exchange: BinanceExchange, simulator: RunningSimulator
) -> None:
    await account.fetch_balances()
    await exchange.fetch_time()
    simulator.control.advance(7200)  # ours stands still: -1021, then signed with the time measured again
    assert "USDT" in await account.fetch_balances()
    page = await exchange.fetch_candles("BTC/USDT", "1h", SINCE)
    assert page.candles[-1].opened_at == START_AT.replace(minute=0, second=0) + 2 * HOUR


@pytest.mark.parametrize(("key", "secret"), [(API_KEY, "wrong"), ("wrong", API_SECRET)])
async def test_a_wrong_key_or_secret_is_refused(
    venue: Venue, ledger: BudgetStore, clock: DrivenClock, key: str, secret: str
) -> None:
    account = make_account(venue, "demo", key, secret, ledger=ledger, clock=clock)
    with pytest.raises(CredentialsRefused) as caught:
        await account.fetch_balances()
    assert API_KEY not in str(caught.value)
    assert API_SECRET not in str(caught.value)
    await account.close()


FAULTS: list[tuple[str, dict[str, Any], type[FksError]]] = [
    ("body", {"variant": "empty"}, BadAnswer),
    ("body", {"variant": "truncated"}, BadAnswer),
    ("body", {"variant": "html"}, BadAnswer),
    ("body", {"variant": "text"}, BadAnswer),
    ("types", {"variant": "numbers_as_text"}, BadAnswer),
    ("types", {"variant": "text_as_numbers"}, BadAnswer),
    ("types", {"variant": "bare_nan"}, BadAnswer),
    ("candles", {"variant": "future"}, BadAnswer),
    ("status", {"status": 503}, ExchangeUnavailable),
    ("status", {"status": 500}, ExchangeUnavailable),
    ("unknown_before", {}, ExchangeSlow),
    ("timestamp", {}, ExchangeUnavailable),
    ("drop_before", {}, ExchangeUnavailable),
    ("drop_after", {}, ExchangeUnavailable),
    ("timeout_before", {"seconds": 5}, ExchangeSlow),
    ("timeout_after", {"seconds": 5}, ExchangeSlow),
    ("status", {"status": 429}, RateLimited),
    ("status", {"status": 429, "retry_after": 40}, RateLimited),
    ("status", {"status": 418}, RateLimited),
    ("status", {"status": 418, "retry_after": 300}, RateLimited),
]


@pytest.mark.parametrize(("kind", "params", "error"), FAULTS)
async def test_each_fault_of_the_simulator_is_the_error_that_names_its_reaction(
    simulator: RunningSimulator,
    venue: Venue,
    ledger: BudgetStore,
    clock: DrivenClock,
    kind: str,
    params: dict[str, Any],
    error: type[FksError],
) -> None:
    exchange = make_exchange(replace(venue, timeout_seconds=0.3), ledger=ledger, clock=clock)
    simulator.control.arm(kind, path="/api/v3/klines", count=0, **params)
    with pytest.raises(error) as caught:
        await exchange.fetch_candles("BTC/USDT", "1h", SINCE)
    assert caught.type is error
    assert "klines of BTC/USDT 1h" in str(caught.value)
    simulator.control.clear_faults()
    clock.move(minutes=10)
    assert len((await exchange.fetch_candles("BTC/USDT", "1h", SINCE)).candles) == 6
    await exchange.close()


@pytest.mark.parametrize("variant", ["nan", "infinity"])
async def test_candles_that_are_not_finite_are_put_aside(
    exchange: BinanceExchange, simulator: RunningSimulator, variant: str
) -> None:
    simulator.control.arm("types", path="/api/v3/klines", variant=variant)
    page = await exchange.fetch_candles("BTC/USDT", "1h", SINCE)
    assert page.candles == ()
    assert {reason for _, reason in page.rejected} == {"a number that is not finite"}
    assert len(page.rejected) == 6


async def test_misaligned_candles_are_put_aside(exchange: BinanceExchange, simulator: RunningSimulator) -> None:
    simulator.control.arm("candles", path="/api/v3/klines", variant="misaligned")
    page = await exchange.fetch_candles("BTC/USDT", "1h", SINCE, limit=3)
    assert page.candles == ()
    assert all("aligned" in reason for _, reason in page.rejected)


@pytest.mark.parametrize("variant", ["out_of_order", "duplicated"])
async def test_shuffled_and_doubled_candles_are_put_right(
    exchange: BinanceExchange, simulator: RunningSimulator, variant: str
) -> None:
    right = await exchange.fetch_candles("BTC/USDT", "1h", SINCE)
    simulator.control.arm("candles", path="/api/v3/klines", variant=variant)
    assert await exchange.fetch_candles("BTC/USDT", "1h", SINCE) == right


@pytest.mark.parametrize("variant", ["nan", "infinity", "text_as_numbers", "numbers_as_text", "bare_nan"])
async def test_an_account_is_never_read_from_wrong_numbers(
    account: BinanceAccount, simulator: RunningSimulator, variant: str
) -> None:
    await account.fetch_balances()
    simulator.control.arm("types", path="/api/v3/myTrades", count=0, variant=variant)
    with pytest.raises(BadAnswer):
        await account.fetch_fills("BTC/USDT", 0)
    if variant != "numbers_as_text":  # an account's amounts are text already
        simulator.control.arm("types", path="/api/v3/account", count=0, variant=variant)
        with pytest.raises(BadAnswer):
            await account.fetch_balances()


async def test_our_sum_of_weights_is_the_exchange_s(
    exchange: BinanceExchange, account: BinanceAccount, simulator: RunningSimulator
) -> None:
    await exchange.fetch_time()
    await exchange.fetch_symbols()
    await exchange.fetch_candles("BTC/USDT", "1h", SINCE)
    await exchange.fetch_prices()
    await account.fetch_balances()
    await account.fetch_fills("BTC/USDT", 0)
    spent = exchange.link.traffic.weight + account.link.traffic.weight
    assert spent == simulator.control.stats()["weight"] == 1 + 20 + 2 + 4 + 1 + 20 + 20


async def test_weight_that_others_at_this_address_use_is_believed(
    venue: Venue, ledger: BudgetStore, clock: DrivenClock
) -> None:
    exchange = make_exchange(replace(venue, weight_per_minute=100), ledger=ledger, clock=clock)
    async with httpx.AsyncClient(base_url=venue.url or "", trust_env=False) as other:

        async def use_and_ask() -> None:
            for _ in range(5):
                await other.get("/api/v3/exchangeInfo")  # weight 20, not taken from our sum
            await exchange.fetch_candles("BTC/USDT", "1h", SINCE)

        with pytest.raises(RateLimited, match="weight budget of 100 is spent"):
            for _ in range(3):  # the simulator's minute is a real one and may end between; ours stands still
                await use_and_ask()
    await exchange.close()


async def test_the_limit_of_the_exchange_is_never_met(ledger: BudgetStore, clock: DrivenClock) -> None:
    with running_simulator(start_at=START_AT, weight_limit_per_minute=100) as simulator:
        venue = Venue("simulator", url=simulator.url, weight_per_minute=100, max_wait_seconds=0)
        exchanges = [make_exchange(venue, ledger=ledger, clock=clock) for _ in range(2)]
        answers = await asyncio.gather(
            *(exchange.fetch_candles("BTC/USDT", "1h", SINCE) for exchange in exchanges for _ in range(40)),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, RateLimited) for answer in answers) == 35  # candles use nine tenths of the limit
        assert sum(exchange.link.traffic.refused for exchange in exchanges) == 0
        assert simulator.control.stats()["weight"] == 90
        for exchange in exchanges:
            await exchange.close()


async def test_a_simulator_that_refuses_is_left_in_peace(
    exchange: BinanceExchange, simulator: RunningSimulator, clock: DrivenClock
) -> None:
    simulator.control.arm("status", count=0, status=418, retry_after=200)
    with pytest.raises(RateLimited) as caught:
        await exchange.fetch_prices()
    assert caught.value.banned
    assert caught.value.retry_at == START_AT + timedelta(seconds=200)
    simulator.control.clear_faults()
    asked = simulator.control.stats()["requests"]
    for _ in range(3):
        with pytest.raises(RateLimited):
            await exchange.fetch_prices()
    assert simulator.control.stats()["requests"] == asked
    clock.move(seconds=200)
    assert "BTC/USDT" in await exchange.fetch_prices()


def test_ccxt_s_own_client_is_what_we_use(venue: Venue) -> None:
    assert isinstance(make_client(venue), ccxt.binance)
