"""Another exchange of ccxt: Kraken's documented answers, and wrong ones, from a local server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.budget import WeightBudget
from lib.adapters.exchange.client import Venue, host_of, make_client
from lib.adapters.exchange.generic import GenericExchange
from lib.adapters.exchange.link import Link
from lib.errors import BadAnswer, ExchangeUnavailable, FksError, RateLimited, SettingsError, UnknownSymbol
from lib.market.candles import Candle
from lib.market.symbols import SymbolStatus
from tests.adapters.exchange.peer import GARBAGE, NOW, Answer, DrivenClock, Peer

HOUR = timedelta(hours=1)
FIRST = NOW.replace(minute=0, second=0) - timedelta(hours=2)
PAIR = {
    "altname": "XBTUSDT",
    "wsname": "XBT/USDT",
    "base": "XXBT",
    "quote": "USDT",
    "pair_decimals": 1,
    "lot_decimals": 8,
    "tick_size": "0.1",
    "ordermin": "0.0001",
    "costmin": "0.5",
    "status": "online",
    "fees": [],
}


def row(opened_at: Any, close: str = "68010.1") -> list[Any]:
    return [int(opened_at.timestamp()), "68000.0", "68100.5", "67900.0", close, "68001.2", "12.50000000", 77]


def result(value: Any) -> dict[str, Any]:
    return {"error": [], "result": value}


@pytest.fixture
async def kraken(peer: Peer, ledger: BudgetStore, clock: DrivenClock) -> AsyncIterator[GenericExchange]:
    venue = Venue("kraken")
    client = make_client(venue)
    client.urls["api"] = {"public": peer.url}
    client.enableRateLimit = False  # Kraken's one request a second
    budget = WeightBudget(ledger, host_of(client), limit=6000, max_wait=timedelta(seconds=30), clock=clock)
    assets = {"XXBT": "XBT", "XETH": "ETH", "USDT": "USDT"}
    peer.reply("Assets", result({name: {"altname": altname, "decimals": 8} for name, altname in assets.items()}))
    peer.reply("AssetPairs", result({"XBTUSDT": PAIR, "ETHUSDT": PAIR | {"base": "XETH", "status": "cancel_only"}}))
    peer.reply("Time", result({"unixtime": int(NOW.timestamp()), "rfc1123": ""}))
    made = GenericExchange(Link(client, venue, budget, clock))
    yield made
    await made.close()


async def test_symbols_carry_exact_steps_and_status(kraken: GenericExchange) -> None:
    symbols = await kraken.fetch_symbols()
    bitcoin = symbols["BTC/USDT"]
    assert (bitcoin.price_step, bitcoin.quantity_step) == (Decimal("0.1"), Decimal("1e-8"))
    assert (bitcoin.min_quantity, bitcoin.min_notional) == (Decimal("0.0001"), Decimal("0.5"))
    assert bitcoin.status is SymbolStatus.TRADING
    assert symbols["ETH/USDT"].status is SymbolStatus.HALTED


async def test_candles_come_without_quote_volume_and_trade_count(kraken: GenericExchange, peer: Peer) -> None:
    rows = [row(FIRST), row(FIRST + timedelta(hours=1)), row(FIRST + timedelta(hours=2))]
    peer.reply("OHLC", result({"XBTUSDT": rows, "last": 1}))
    page = await kraken.fetch_candles("BTC/USDT", "1h", FIRST, limit=2)
    assert page.candles == (
        Candle(FIRST, 68000.0, 68100.5, 67900.0, 68010.1, 12.5),
        Candle(FIRST + timedelta(hours=1), 68000.0, 68100.5, 67900.0, 68010.1, 12.5),
    )


def hours(*numbers: int) -> dict[str, Any]:
    """Return an answer with the candles of these hours after `FIRST`."""
    return result({"XBTUSDT": [row(FIRST + timedelta(hours=number)) for number in numbers], "last": 1})


SINCE = FIRST - timedelta(hours=9)
BELIEF: list[tuple[str, list[dict[str, Any]], datetime | None]] = [
    ("an answer from the start on", [hours(-9, 0, 1)], None),
    ("the newest candles instead", [hours(-3, -2, -1, 0, 1), hours(-3, -2, -1, 0, 1)], FIRST - timedelta(hours=3)),
    ("fewer of the newest candles", [hours(0, 1), hours(-3, -2, -1, 0, 1)], FIRST),
    ("candles older than the newest", [hours(-5, -4), hours(-3, -2, -1, 0, 1)], None),
    ("newest candles that reach over the hole", [hours(-5, -4), hours(-11, -10, -5, -4, -3, -2, -1, 0)], None),
    ("newest candles that fill the hole", [hours(-1, 0), hours(-11, -10, -5, -4, -3, -2, -1, 0)], FIRST - HOUR),
    ("newest candles that are gone", [hours(-5, -4), hours()], FIRST - timedelta(hours=5)),
]


@pytest.mark.parametrize(("answers", "proven_from"), [case[1:] for case in BELIEF], ids=[case[0] for case in BELIEF])
async def test_an_answer_that_begins_later_than_asked_is_believed_only_as_far_as_the_newest_candles_bear_it_out(
    kraken: GenericExchange, peer: Peer, answers: list[dict[str, Any]], proven_from: datetime | None
) -> None:
    peer.reply("OHLC", *answers)
    page = await kraken.fetch_candles("BTC/USDT", "1h", SINCE, limit=20)
    assert page.proven_from == proven_from
    assert peer.count("OHLC") == len(answers)


async def test_an_impossible_candle_is_put_aside(kraken: GenericExchange, peer: Peer) -> None:
    peer.reply("OHLC", result({"XBTUSDT": [row(FIRST), row(FIRST + timedelta(hours=1), close="70000.0")]}))
    page = await kraken.fetch_candles("BTC/USDT", "1h", FIRST)
    assert [candle.opened_at for candle in page.candles] == [FIRST]
    assert [opened_at for opened_at, _ in page.rejected] == [FIRST + timedelta(hours=1)]


async def test_a_candle_from_the_future_is_a_bad_answer(kraken: GenericExchange, peer: Peer) -> None:
    peer.reply("OHLC", result({"XBTUSDT": [row(NOW.replace(minute=0, second=0) + timedelta(hours=1))]}))
    with pytest.raises(BadAnswer, match="kraken candles of BTC/USDT 1h"):
        await kraken.fetch_candles("BTC/USDT", "1h", FIRST)


async def test_prices_keep_every_digit(kraken: GenericExchange, peer: Peer) -> None:
    peer.reply("Ticker", result({"XBTUSDT": {"c": ["68010.123456789012", "0.1"]}, "ETHUSDT": {"c": ["0.0", "0.0"]}}))
    assert await kraken.fetch_prices() == {"BTC/USDT": Decimal("68010.123456789012")}


async def test_its_clock_is_measured(kraken: GenericExchange, clock: DrivenClock) -> None:
    clock.move(seconds=-10)
    assert await kraken.fetch_time() == NOW
    assert kraken.link.clock_offset == timedelta(seconds=10)


async def test_a_symbol_it_does_not_have_is_unknown(kraken: GenericExchange) -> None:
    with pytest.raises(UnknownSymbol, match="kraken does not know NO/USDT"):
        await kraken.fetch_candles("NO/USDT", "1h", FIRST)


async def test_a_timeframe_it_does_not_have_names_the_setting(kraken: GenericExchange) -> None:
    with pytest.raises(SettingsError, match="FKS_HISTORY_DAYS"):
        await kraken.fetch_candles("BTC/USDT", "3m", FIRST)


NO_JSON = [name for name, answer in GARBAGE.items() if not isinstance(answer.body, dict | list)]


@pytest.mark.parametrize("name", NO_JSON)
@pytest.mark.parametrize("endpoint", ["OHLC", "Ticker", "AssetPairs", "Time"])
async def test_what_is_no_json_is_a_bad_answer(kraken: GenericExchange, peer: Peer, endpoint: str, name: str) -> None:
    peer.reply(endpoint, GARBAGE[name])
    with pytest.raises(BadAnswer):
        await ask(kraken, endpoint)


async def ask(kraken: GenericExchange, endpoint: str) -> Any:
    if endpoint == "OHLC":
        return await kraken.fetch_candles("BTC/USDT", "1h", FIRST)
    if endpoint == "Ticker":
        return await kraken.fetch_prices()
    return await (kraken.fetch_symbols() if endpoint == "AssetPairs" else kraken.fetch_time())


@pytest.mark.parametrize("endpoint", ["Ticker", "AssetPairs", "Time"])
@pytest.mark.parametrize("value", [{}, [], {"result": 5}, {"result": {"XBTUSDT": 5}}], ids=str)
async def test_json_of_another_shape_is_a_bad_answer(
    kraken: GenericExchange, peer: Peer, endpoint: str, value: Any
) -> None:
    peer.reply(endpoint, value)
    with pytest.raises(BadAnswer):
        await ask(kraken, endpoint)


REFUSALS: list[tuple[Answer, type[FksError]]] = [
    (Answer({"error": ["EService:Unavailable"]}), ExchangeUnavailable),
    (Answer({"error": ["EGeneral:Too many requests"]}), RateLimited),
    (Answer("", 429, {"Retry-After": "77"}), RateLimited),
    (Answer("", 502), ExchangeUnavailable),
    (Answer(drop=True), ExchangeUnavailable),
]


@pytest.mark.parametrize(("answer", "error"), REFUSALS)
async def test_refusals_are_the_errors_that_name_their_reaction(
    kraken: GenericExchange, peer: Peer, answer: Answer, error: type[FksError]
) -> None:
    peer.reply("Ticker", answer)
    with pytest.raises(error) as caught:
        await kraken.fetch_prices()
    assert caught.type is error
