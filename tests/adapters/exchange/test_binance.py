from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.errors import BadAnswer
from lib.market.candles import Candle
from lib.market.symbols import SymbolStatus
from tests.adapters.exchange.peer import GARBAGE, NOW, Answer, DrivenClock, Peer, kline, milliseconds, symbol_row

SINCE = NOW.replace(hour=11, minute=0, second=0)
FIRST = SINCE + timedelta(minutes=5)
SECOND = SINCE + timedelta(minutes=10)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize("endpoint", ["klines", "ticker/price", "exchangeInfo", "time"])
async def test_garbage_with_status_200_is_a_bad_answer(
    exchange: BinanceExchange, peer: Peer, endpoint: str, garbage: Answer
) -> None:
    peer.reply(endpoint, garbage)
    with pytest.raises(BadAnswer):
        await ask(exchange, endpoint)


async def ask(exchange: BinanceExchange, endpoint: str) -> Any:
    if endpoint == "klines":
        return await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    if endpoint == "ticker/price":
        return await exchange.fetch_prices()
    return await (exchange.fetch_symbols() if endpoint == "exchangeInfo" else exchange.fetch_time())


async def test_candles_carry_quote_volume_and_trade_count(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply("klines", [kline(FIRST), kline(SECOND)])
    page = await exchange.fetch_candles("BTC/USDT", "5m", SINCE, limit=2)
    assert page.candles == (
        Candle(FIRST, 100.0, 110.0, 90.0, 105.0, 12.5, 1275.0, 42),
        Candle(SECOND, 100.0, 110.0, 90.0, 105.0, 12.5, 1275.0, 42),
    )
    assert page.rejected == ()
    assert peer.asked[-1].query == {
        "symbol": "BTCUSDT",
        "interval": "5m",
        "startTime": str(milliseconds(SINCE)),
        "limit": "2",
    }


async def test_no_candles_are_an_empty_page(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply("klines", [])
    assert (await exchange.fetch_candles("BTC/USDT", "5m", SINCE)).candles == ()


async def test_candles_never_load_the_markets(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply("klines", [kline(FIRST)])
    await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert {asked.endpoint for asked in peer.asked} == {"klines"}


async def test_a_zero_volume_candle_is_possible(exchange: BinanceExchange, peer: Peer) -> None:
    quiet = kline(FIRST, at1="5.0", at2="5.0", at3="5.0", at4="5.0", at5="0.00000000", at7="0.00000000", at8=0)
    peer.reply("klines", [quiet])
    page = await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert page.candles == (Candle(FIRST, 5.0, 5.0, 5.0, 5.0, 0.0, 0.0, 0),)


IMPOSSIBLE = {
    "a NaN price": (kline(SECOND, at4="NaN"), "not finite"),
    "an infinite price": (kline(SECOND, at2="Infinity"), "not finite"),
    "an infinite volume": (kline(SECOND, at5="-inf"), "not finite"),
    "a price of zero": (kline(SECOND, at3="0.00000000"), "price of 0"),
    "a negative price": (kline(SECOND, at3="-1.0"), "price of -1"),
    "a low above the open": (kline(SECOND, at3="101.0"), "enclose"),
    "a high below the close": (kline(SECOND, at2="104.0"), "enclose"),
    "a negative volume": (kline(SECOND, at5="-1.0"), "negative"),
    "a negative trade count": (kline(SECOND, at8=-1), "negative"),
    "a misaligned time": (kline(SECOND + timedelta(seconds=1)), "aligned"),
    "a candle of another width": (kline(SECOND, minutes=15), "width"),
}


@pytest.mark.parametrize(("row", "why"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
async def test_an_impossible_candle_is_put_aside_and_the_others_stay(
    exchange: BinanceExchange, peer: Peer, row: list[Any], why: str
) -> None:
    peer.reply("klines", [kline(FIRST), row])
    page = await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert [candle.opened_at for candle in page.candles] == [FIRST]
    ((opened_at, reason),) = page.rejected
    assert opened_at is not None
    assert opened_at >= SECOND
    assert why in reason


WRONG_CANDLES = {
    "a price as a number": [kline(FIRST, at1=100.0)],
    "a price as an integer": [kline(FIRST, at1=100)],
    "a price as null": [kline(FIRST, at4=None)],
    "a price that is no number": [kline(FIRST, at4="abc")],
    "an empty price": [kline(FIRST, at4="")],
    "a price with an underscore": [kline(FIRST, at4="1_00.0")],
    "a price with spaces": [kline(FIRST, at4=" 100.0")],
    "a price in Arabic digits": [kline(FIRST, at4="١٠٠")],
    "a bare NaN": '[[1772622300000,NaN,"110.0","90.0","105.0","1.0",1772622599999,"1.0",1,"1.0","1.0","0"]]',
    "a time as text": [kline(FIRST, at0="1772622300000")],
    "a time as a float": [kline(FIRST, at0=1772622300000.5)],
    "a time as a boolean": [kline(FIRST, at0=True)],
    "a time beyond all calendars": [kline(FIRST, at0=10**30)],
    "a negative time": [kline(FIRST, at0=-5)],
    "a trade count as text": [kline(FIRST, at8="42")],
    "eleven fields": [kline(FIRST)[:11]],
    "thirteen fields": [[*kline(FIRST), 1]],
    "an object in the list": [{"open": 1}],
    "a candle before the wanted time": [kline(SINCE - timedelta(minutes=5))],
    "a candle from the future": [kline(NOW.replace(second=0) + timedelta(minutes=5))],
    "more candles than the limit": [kline(FIRST), kline(SECOND), kline(SECOND + timedelta(minutes=5))],
    "two different candles at one time": [kline(FIRST), kline(FIRST, at4="106.0")],
    "a possible and an impossible candle at one time": [kline(FIRST), kline(FIRST, at4="NaN")],
}


@pytest.mark.parametrize("rows", WRONG_CANDLES.values(), ids=WRONG_CANDLES.keys())
async def test_a_wrong_candle_refuses_the_whole_answer(exchange: BinanceExchange, peer: Peer, rows: Any) -> None:
    peer.reply("klines", Answer(rows) if isinstance(rows, str) else strange_json(rows))
    with pytest.raises(BadAnswer, match=r"simulator,? klines of BTC/USDT 5m.*Nothing is stored"):
        await exchange.fetch_candles("BTC/USDT", "5m", SINCE, limit=2)


def strange_json(rows: list[Any]) -> Answer:
    return Answer(json.dumps(rows))  # the standard library writes integers of any size


async def test_candles_out_of_order_are_sorted_and_equal_twins_fall_together(
    exchange: BinanceExchange, peer: Peer
) -> None:
    peer.reply("klines", [kline(SECOND), kline(FIRST), kline(SECOND)])
    page = await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert [candle.opened_at for candle in page.candles] == [FIRST, SECOND]


async def test_a_running_candle_is_no_candle_from_the_future_when_our_clock_is_late(
    exchange: BinanceExchange, peer: Peer, clock: DrivenClock
) -> None:
    clock.instant = NOW.replace(second=0) - timedelta(seconds=8)
    peer.ahead = timedelta(seconds=10)
    peer.reply("klines", [kline(NOW.replace(second=0))])
    page = await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert [candle.opened_at for candle in page.candles] == [NOW.replace(second=0)]
    assert exchange.link.clock_offset == timedelta(seconds=10)


async def test_prices_keep_every_digit_of_known_symbols(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply(
        "ticker/price",
        [
            {"symbol": "BTCUSDT", "price": "68123.123456789012345678"},
            {"symbol": "ETHUSDT", "price": "0.00000001"},
            {"symbol": "UNKNOWNUSDT", "price": "1.0"},
        ],
    )
    assert await exchange.fetch_prices() == {
        "BTC/USDT": Decimal("68123.123456789012345678"),
        "ETH/USDT": Decimal("0.00000001"),
    }
    assert peer.asked[-1].query == {}


async def test_a_symbol_that_never_traded_has_no_price(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply("ticker/price", [{"symbol": "BTCUSDT", "price": "1.5"}, {"symbol": "ETHUSDT", "price": "0.00000000"}])
    assert await exchange.fetch_prices() == {"BTC/USDT": Decimal("1.5")}


WRONG_PRICES: dict[str, Any] = {
    "a number": 1.5,
    "NaN": "NaN",
    "infinity": "Infinity",
    "negative": "-1.0",
    "null": None,
    "words": "cheap",
    "empty": "",
    "a power of ten": "1e9999999",
}


@pytest.mark.parametrize("price", WRONG_PRICES.values(), ids=WRONG_PRICES.keys())
async def test_a_wrong_price_refuses_all_prices(exchange: BinanceExchange, peer: Peer, price: Any) -> None:
    peer.reply("ticker/price", [{"symbol": "ETHUSDT", "price": "1.0"}, {"symbol": "BTCUSDT", "price": price}])
    with pytest.raises(BadAnswer, match="price of BTCUSDT"):
        await exchange.fetch_prices()


async def test_a_symbol_that_is_priced_twice_refuses_all_prices(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply("ticker/price", [{"symbol": "BTCUSDT", "price": "1.0"}, {"symbol": "BTCUSDT", "price": "1.0"}])
    with pytest.raises(BadAnswer, match="each symbol once"):
        await exchange.fetch_prices()


async def test_symbols_carry_their_filters_and_status(exchange: BinanceExchange, peer: Peer) -> None:
    old_filter = [*symbol_row()["filters"][:2], {"filterType": "MIN_NOTIONAL", "minNotional": "10.00000000"}]
    peer.reply(
        "exchangeInfo",
        {
            "symbols": [
                symbol_row(),
                symbol_row("LUNA", status="BREAK", filters=old_filter),
                symbol_row("MARGIN", isSpotTradingAllowed=False),
            ]
        },
    )
    symbols = await exchange.fetch_symbols()
    assert set(symbols) == {"BTC/USDT", "LUNA/USDT", "MARGIN/USDT"}
    bitcoin = symbols["BTC/USDT"]
    assert (bitcoin.base, bitcoin.quote, bitcoin.status) == ("BTC", "USDT", SymbolStatus.TRADING)
    assert (bitcoin.price_step, bitcoin.quantity_step) == (Decimal("0.01"), Decimal("0.00001"))
    assert (bitcoin.min_quantity, bitcoin.min_notional) == (Decimal("0.00001"), Decimal(5))
    assert bitcoin.refreshed_at == NOW
    assert symbols["LUNA/USDT"].status is SymbolStatus.HALTED
    assert symbols["LUNA/USDT"].min_notional == Decimal(10)
    assert symbols["MARGIN/USDT"].status is SymbolStatus.HALTED


async def test_a_symbol_that_cannot_be_addressed_or_rounded_is_left_out(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply(
        "exchangeInfo",
        {
            "symbols": [
                symbol_row(),
                symbol_row("ODD", symbol="SOMETHINGELSE"),
                symbol_row("OLD", status="BREAK", filters=[]),
            ]
        },
    )
    assert set(await exchange.fetch_symbols()) == {"BTC/USDT"}


WRONG_SYMBOLS: dict[str, Any] = {
    "no symbols": [],
    "a trading symbol without filters": [symbol_row(filters=[])],
    "filters as null": [symbol_row(filters=None)],
    "a price step of zero": [
        symbol_row(filters=[{"filterType": "PRICE_FILTER", "tickSize": "0.0"}, *symbol_row()["filters"][1:]])
    ],
    "a quantity step as a number": [
        symbol_row(filters=[symbol_row()["filters"][0], {"filterType": "LOT_SIZE", "stepSize": 1, "minQty": "1"}])
    ],
    "a symbol without an asset": [symbol_row(baseAsset=None)],
    "a status as a number": [symbol_row(status=1)],
    "a flag as text": [symbol_row(isSpotTradingAllowed="yes")],
    "a symbol twice": [symbol_row(), symbol_row()],
}


@pytest.mark.parametrize("rows", WRONG_SYMBOLS.values(), ids=WRONG_SYMBOLS.keys())
async def test_wrong_symbols_are_a_bad_answer(exchange: BinanceExchange, peer: Peer, rows: Any) -> None:
    peer.reply("exchangeInfo", {"symbols": rows})
    with pytest.raises(BadAnswer, match="simulator exchangeInfo"):
        await exchange.fetch_symbols()


async def test_prices_use_the_exchange_s_own_list_when_no_symbol_is_known(
    venue: Venue, ledger: BudgetStore, clock: DrivenClock, peer: Peer
) -> None:
    exchange = make_exchange(venue, ledger=ledger, clock=clock)
    peer.reply("exchangeInfo", {"symbols": [symbol_row("SOL")]})
    peer.reply("ticker/price", [{"symbol": "SOLUSDT", "price": "150.25"}])
    assert await exchange.fetch_prices() == {"SOL/USDT": Decimal("150.25")}
    await exchange.fetch_prices()
    assert peer.count("exchangeInfo") == 1
    await exchange.close()


class TickingClock(DrivenClock):
    """Moves on by 400 ms from its third reading: time passes while the first request is under way."""

    readings = 0

    def now(self) -> datetime:
        self.readings += 1
        return self.instant if self.readings < 3 else self.instant + timedelta(milliseconds=400)


async def test_the_time_is_corrected_by_half_the_round_trip(venue: Venue, ledger: BudgetStore, peer: Peer) -> None:
    exchange = make_exchange(venue, ledger=ledger, clock=TickingClock())  # read for weight, sending, receiving
    peer.reply("time", {"serverTime": milliseconds(NOW + timedelta(seconds=10))})
    assert await exchange.fetch_time() == NOW + timedelta(seconds=10.2)
    assert exchange.link.clock_offset == timedelta(seconds=9.8)
    await exchange.close()


class StallingClock(DrivenClock):
    """Moves on by 2.4 s at its third reading: the process stands still while the first request is under way."""

    readings = 0

    def now(self) -> datetime:
        self.readings += 1
        return self.instant if self.readings < 3 else self.instant + timedelta(seconds=2.4)


async def test_the_time_is_asked_again_when_the_round_trip_was_long(
    venue: Venue, ledger: BudgetStore, peer: Peer
) -> None:
    exchange = make_exchange(venue, ledger=ledger, clock=StallingClock())
    peer.reply("time", {"serverTime": milliseconds(NOW + timedelta(seconds=2.4))})
    assert await exchange.fetch_time() == NOW + timedelta(seconds=2.4)
    assert exchange.link.clock_offset == timedelta()
    assert peer.count("time") == 2
    await exchange.close()


@pytest.mark.parametrize("told", [None, "1772622000000", 1.5, 0, -1, 10**15, True])
async def test_a_wrong_time_is_a_bad_answer(exchange: BinanceExchange, peer: Peer, told: Any) -> None:
    peer.reply("time", {"serverTime": told})
    with pytest.raises(BadAnswer, match="time of simulator"):
        await exchange.fetch_time()
    assert exchange.link.clock_offset is None
