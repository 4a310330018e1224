"""The public side of any other ccxt spot exchange, by ccxt's unified calls.

Its limits are ccxt's own, per process; only a pause the exchange asks for is shared. It loads its markets in every
process. Prices keep the exchange's digits (ccxt is told to make text of numbers). ccxt reads an answer of an unexpected
shape as an empty result: of candles that passes as "none", of symbols and prices it is refused.

Some exchanges do not look at an old `since` and answer with their newest candles (Kraken: the last 720). That older
ones are missing there proves nothing. Such an answer begins later than asked, and so does a true one over a stretch
without candles, so the newest candles are then asked for by themselves, and the first answer is believed

* if it begins before them: it went back where it was asked to;
* or if they reach back to `since` and have nothing before its first candle either.

Else the page says from where on it is believed. A symbol listed within the newest candles cannot be told from an
exchange that shows no more: what lies before stays an open gap, asked for once a day, never verified absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import ccxt.async_support as ccxt

from lib.adapters.exchange.answers import refuse, to_instant, to_list, to_object
from lib.adapters.exchange.book_answers import to_book
from lib.adapters.exchange.budget import LEFT_BY_CANDLES_RATIO
from lib.adapters.exchange.link import Link, Request
from lib.adapters.exchange.market_answers import Checked, to_page
from lib.errors import SettingsError, UnknownSymbol
from lib.market.book import OrderBook
from lib.market.candles import Candle, find_impossibility
from lib.market.symbols import Symbol, SymbolStatus
from lib.ports import CandlePage
from lib.units import to_decimal, to_milliseconds

MOST_CANDLES = 1000


class GenericExchange:
    """The port `Exchange`, without quote volumes and trade counts.

    Attributes:
        name: The venue's name.
        link: Its connection, which counts requests and waits and knows the clock's offset.

    Raises:
        SettingsError: ccxt does not offer what the platform needs of this exchange.
    """

    def __init__(self, link: Link) -> None:
        self.name = link.name
        self.link = link
        self._client = link.client
        missing = [call for call in ("fetchOHLCV", "fetchTickers") if not self._client.has.get(call)]
        if missing:
            raise SettingsError(f"{self.name} has no {' and no '.join(missing)} in ccxt. Choose another FKS_EXCHANGE.")
        if self._client.precisionMode != ccxt.TICK_SIZE:
            raise SettingsError(f"{self.name} has no fixed price and quantity steps. Choose another FKS_EXCHANGE.")
        # ccxt would cut an answer to what was asked, and so hide what the exchange really answered with.
        self._client.filter_by_since_limit = lambda rows, *_args, **_kwargs: rows

    async def fetch_time(self) -> datetime:
        """Return the exchange's clock, UTC; our own where it does not tell."""
        await self.link.measure_offset()
        return self.link.exchange_now()

    async def fetch_symbols(self) -> Mapping[str, Symbol]:
        """Return every spot symbol that has steps, by name."""
        answer = await self._ask("symbols", partial(self._client.load_markets, True))
        markets = to_object(answer, f"{self.name} markets").values()
        now = self.link.exchange_now()
        symbols = [_to_symbol(market, now) for market in markets if market.get("spot")]
        by_name = {symbol.name: symbol for symbol in symbols if symbol is not None}
        if not by_name:
            raise refuse(f"{self.name} markets", "", "at least one spot symbol", list(markets))
        return by_name

    async def fetch_candles(self, symbol: str, timeframe: str, since: datetime, limit: int = 1000) -> CandlePage:
        """Return at most `limit` candles that open at `since` or later, oldest first."""
        if timeframe not in (self._client.timeframes or {}):
            raise SettingsError(f"{self.name} has no {timeframe} candles. Remove it from FKS_HISTORY_DAYS.")
        await self._ensure_symbol(symbol)
        answered = await self._ask_candles(symbol, timeframe, since, limit)
        wanted = [each for each in answered if each[0].opened_at >= since][:limit]
        newest = max((to_milliseconds(candle.opened_at) for candle, _ in wanted), default=0)
        latest = await self.link.latest_instant(newest)
        page = to_page(wanted, f"{self.name} candles of {symbol} {timeframe}", since, latest)
        if not answered or answered[0][0].opened_at <= since:
            return page
        first_at = answered[0][0].opened_at
        newest_opens = [
            candle.opened_at for candle, _ in await self._ask_candles(symbol, timeframe, None, MOST_CANDLES)
        ]
        return page if _is_proof(newest_opens, since, first_at) else replace(page, proven_from=first_at)

    async def _ask_candles(self, symbol: str, timeframe: str, since: datetime | None, limit: int) -> list[Checked]:
        """Return everything the exchange answers with, rising, whatever was asked; None asks for the newest."""
        what = f"candles of {symbol} {timeframe}"
        where = f"{self.name} {what}"
        since_ms = None if since is None else to_milliseconds(since)
        call = partial(self._client.fetch_ohlcv, symbol, timeframe, since_ms, limit)
        rows = to_list(await self.link.send(Request(what, 0, call, symbol, LEFT_BY_CANDLES_RATIO)), where)
        return [_to_candle(row, where, timeframe) for row in rows]

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        """Return the last price of every spot symbol that ever traded, by one request."""
        where = f"{self.name} prices"
        tickers = to_object(await self._ask("prices", self._client.fetch_tickers), where)
        prices: dict[str, Decimal] = {}
        for name, ticker in tickers.items():
            last = to_object(ticker, where).get("last")
            if ":" in name or last is None:  # a contract, or never traded
                continue
            price = _to_number(last, where, name)
            if price < 0:
                raise refuse(where, name, "a price above zero", last)
            if price:
                prices[name] = price
        if not prices:
            raise refuse(where, "", "at least one price", tickers)
        return prices

    async def fetch_book(self, symbol: str) -> OrderBook:
        """Return the levels that the exchange gives by default."""
        if not self._client.has.get("fetchOrderBook"):
            raise SettingsError(f"{self.name} has no order books in ccxt. Paper accounts need them.")
        await self._ensure_symbol(symbol)
        what = f"order book of {symbol}"
        answer = await self._ask(what, partial(self._client.fetch_order_book, symbol), symbol)
        return to_book(answer, where=f"{self.name} {what}", symbol=symbol, read=_to_positive)

    async def close(self) -> None:
        """Release connections."""
        await self.link.close()

    async def _ensure_symbol(self, symbol: str) -> None:
        markets = await self._ask("symbols", self._client.load_markets)
        if symbol not in markets:
            raise UnknownSymbol(f"{self.name} does not know {symbol}. Correct the name or remove it.")

    async def _ask(self, what: str, call: Callable[[], Any], symbol: str | None = None) -> Any:
        return await self.link.send(Request(what, 0, call, symbol))


def _is_proof(newest_opens: list[datetime], since: datetime, first_at: datetime) -> bool:
    """Return whether an answer that begins at `first_at`, later than asked, shows that nothing opened before."""
    if not newest_opens:
        return False
    if first_at < newest_opens[0]:
        return True
    return newest_opens[0] <= since and not any(since <= opened_at < first_at for opened_at in newest_opens)


def _to_candle(row: Any, where: str, timeframe: str) -> Checked:
    if not isinstance(row, list) or len(row) < 6:
        raise refuse(where, "", "arrays of time, open, high, low, close, volume", row)
    opened_at = to_instant(row[0], where, "open time")
    open_, high, low, close, volume = (float(_to_number(value, where, "a price or the volume")) for value in row[1:6])
    candle = Candle(opened_at, open_, high, low, close, volume)
    return candle, find_impossibility(candle, timeframe)


def _to_number(value: Any, where: str, field: str) -> Decimal:
    try:
        return to_decimal(value)
    except (ValueError, ArithmeticError):
        raise refuse(where, field, "a finite number", value) from None


def _to_positive(value: Any, where: str, field: str) -> Decimal:
    number = _to_number(value, where, field)
    if number <= 0:
        raise refuse(where, field, "a number above zero", value)
    return number


def _to_symbol(market: Mapping[str, Any], now: datetime) -> Symbol | None:
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    if not precision.get("price") or not precision.get("amount"):
        return None
    return Symbol(
        name=market["symbol"],
        base=market["base"],
        quote=market["quote"],
        status=SymbolStatus.HALTED if market.get("active") is False else SymbolStatus.TRADING,
        price_step=to_decimal(precision["price"]),
        quantity_step=to_decimal(precision["amount"]),
        min_quantity=to_decimal((limits.get("amount") or {}).get("min") or 0),
        min_notional=to_decimal((limits.get("cost") or {}).get("min") or 0),
        refreshed_at=now,
    )
