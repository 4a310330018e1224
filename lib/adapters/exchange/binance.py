"""The public side of a Binance-like exchange: Binance, its test network, the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from lib.adapters.exchange.book_answers import to_book
from lib.adapters.exchange.budget import LEFT_BY_CANDLES_RATIO
from lib.adapters.exchange.link import Link, Request
from lib.adapters.exchange.market_answers import find_newest_open, to_candle_page, to_prices, to_symbols
from lib.market.book import OrderBook
from lib.market.symbols import Symbol
from lib.market.timeframes import width_of
from lib.ports import CandlePage
from lib.units import to_milliseconds

KLINES_WEIGHT = 2
PRICES_WEIGHT = 4
SYMBOLS_WEIGHT = 20
BOOK_WEIGHT = 5
BOOK_LEVELS = 100
MOST_CANDLES = 1000


def to_id(symbol: str) -> str:
    """Return Binance's id: "BTC/USDT" -> "BTCUSDT"."""
    return symbol.replace("/", "")


class BinanceExchange:
    """The port `Exchange`.

    Attributes:
        name: The venue's name.
        link: Its connection, which counts requests and waits and knows the clock's offset.

    Args:
        link: See above.
        known_symbols: Gives the names that prices are wanted of (the stored symbols); asked once, at the first
            `fetch_prices`. When it gives none, and after every `fetch_symbols`, the exchange's own list is used.
    """

    def __init__(self, link: Link, known_symbols: Callable[[], Iterable[str]] = tuple) -> None:
        self.name = link.name
        self.link = link
        self._known_symbols = known_symbols
        self._names: dict[str, str] = {}

    async def fetch_time(self) -> datetime:
        """Return the exchange's clock, UTC; measures `clock_offset`."""
        await self.link.measure_offset()
        return self.link.exchange_now()

    async def fetch_symbols(self) -> Mapping[str, Symbol]:
        """Return every spot symbol by name. Weight 20 and a large answer: hourly at most."""
        client = self.link.client
        # Who may trade what fills most of Binance's answer (megabytes); its smaller sister does not know the switch.
        params = {"showPermissionSets": "false"} if client.id == "binance" else {}
        answer = await self._ask("symbols", SYMBOLS_WEIGHT, partial(client.publicGetExchangeInfo, params))
        # Thousands of objects: checked beside the event loop, which goes on with other requests.
        symbols = await asyncio.to_thread(
            to_symbols, answer, where=f"{self.name} exchangeInfo", refreshed_at=self.link.exchange_now()
        )
        self._names = {to_id(name): name for name in symbols}
        return symbols

    async def fetch_candles(self, symbol: str, timeframe: str, since: datetime, limit: int = 1000) -> CandlePage:
        """Return at most `limit` (1000 at most) candles that open at `since` or later, oldest first."""
        width_of(timeframe)
        limit = min(limit, MOST_CANDLES)
        what = f"klines of {symbol} {timeframe}"
        params = {"symbol": to_id(symbol), "interval": timeframe, "startTime": to_milliseconds(since), "limit": limit}
        call = partial(self.link.client.publicGetKlines, params)
        answer = await self.link.send(Request(what, KLINES_WEIGHT, call, symbol, LEFT_BY_CANDLES_RATIO))
        return to_candle_page(
            answer,
            where=f"{self.name} {what}",
            timeframe=timeframe,
            since=since,
            limit=limit,
            latest=await self.link.latest_instant(find_newest_open(answer)),
        )

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        """Return the last price of every known symbol that ever traded, by one request (weight 4).

        A halted symbol keeps its last price on Binance: whoever acts on a price checks the symbol's status.
        """
        if not self._names:
            self._names = {to_id(name): name for name in self._known_symbols()}
        if not self._names:
            await self.fetch_symbols()
        answer = await self._ask("prices", PRICES_WEIGHT, self.link.client.publicGetTickerPrice)
        return to_prices(answer, where=f"{self.name} ticker/price", names=self._names)

    async def fetch_book(self, symbol: str) -> OrderBook:
        """Return the best hundred levels of both sides (weight 5)."""
        what = f"order book of {symbol}"
        call = partial(self.link.client.publicGetDepth, {"symbol": to_id(symbol), "limit": BOOK_LEVELS})
        answer = await self.link.send(Request(what, BOOK_WEIGHT, call, symbol))
        return to_book(answer, where=f"{self.name} {what}", symbol=symbol)

    async def close(self) -> None:
        """Release connections."""
        await self.link.close()

    async def _ask(self, what: str, weight: int, call: Callable[[], Any]) -> Any:
        return await self.link.send(Request(what, weight, call))
