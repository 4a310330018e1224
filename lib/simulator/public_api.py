"""The public endpoints of Binance Spot: /api/v3 without signatures."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from lib.simulator import api_errors
from lib.simulator.answers import to_answer
from lib.simulator.candles import format_units
from lib.simulator.exchange_info import to_rate_limits, to_symbol_info
from lib.simulator.exchange_market import ExchangeMarket
from lib.simulator.intervals import NAMES
from lib.simulator.klines import KlineQuery
from lib.simulator.limits import add_route
from lib.simulator.order_book import make_book
from lib.simulator.parameters import SYMBOL, Parameters, need, parse_parameters
from lib.simulator.tickers import to_average_price, to_book_ticker, to_day_ticker, to_trades

MOST_KLINES = 1000
MOST_LEVELS = 5000
MOST_TRADES = 1000
SYMBOLS = r'^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$'
STATUSES = ("TRADING", "HALT", "BREAK")
PERMISSIONS = ("SPOT", "MARGIN", "LEVERAGED")
_DAY_TICKER_WEIGHTS = ((20, 2), (100, 40))  # up to so many symbols; 80 above and for all


def add_routes(app: web.Application, market: ExchangeMarket, weight_per_minute: int) -> None:
    """Register the public endpoints with their weights."""
    api = _PublicApi(market, weight_per_minute)
    add_route(app, "GET", "/api/v3/ping", api.ping, 1)
    add_route(app, "GET", "/api/v3/time", api.time, 1)
    add_route(app, "GET", "/api/v3/exchangeInfo", api.exchange_info, 20)
    add_route(app, "GET", "/api/v3/klines", api.klines, 2)
    add_route(app, "GET", "/api/v3/ticker/price", api.price_ticker, _one_or_all(2, 4))
    add_route(app, "GET", "/api/v3/ticker/24hr", api.day_ticker, _day_ticker_weight)
    add_route(app, "GET", "/api/v3/ticker/bookTicker", api.book_ticker, _one_or_all(2, 4))
    add_route(app, "GET", "/api/v3/depth", api.depth, _depth_weight)
    add_route(app, "GET", "/api/v3/trades", api.trades, 25)
    add_route(app, "GET", "/api/v3/avgPrice", api.average_price, 2)


class _PublicApi:
    """The handlers; every answer shows the market at the exchange's present instant."""

    def __init__(self, market: ExchangeMarket, weight_per_minute: int) -> None:
        self._market = market
        self._weight_per_minute = weight_per_minute

    async def ping(self, request: web.Request) -> web.Response:
        """Answer an empty object."""
        _read(request)
        return to_answer({})

    async def time(self, request: web.Request) -> web.Response:
        """Answer exchange time."""
        _read(request)
        return to_answer({"serverTime": self._now_ms()})

    async def exchange_info(self, request: web.Request) -> web.Response:
        """Answer the symbols with their filters."""
        params = _read(request, "symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
        status, permissions = params.text("symbolStatus", "|".join(STATUSES)), _read_permissions(params)
        named = params.sent("symbol") or params.sent("symbols")
        if named and (status or permissions is not None):
            raise api_errors.invalid_combination()
        with_sets = params.flag("showPermissionSets") if params.sent("showPermissionSets") else True
        symbols = self._symbols(params)[0] if permissions is None or "SPOT" in permissions else []
        instruments = self._market.instruments
        rows = [to_symbol_info(instruments[name], self._market.status(name), with_sets) for name in symbols]
        return to_answer(
            {
                "timezone": "UTC",
                "serverTime": self._now_ms(),
                "rateLimits": to_rate_limits(self._weight_per_minute),
                "exchangeFilters": [],
                "symbols": [row for row in rows if status in (None, row["status"])],
            }
        )

    async def klines(self, request: web.Request) -> web.Response:
        """Answer candles as arrays of twelve."""
        params = _read(request, "symbol", "interval", "startTime", "endTime", "limit")
        symbol = self._symbol(params)
        interval = need(params.text("interval", ".*"), "interval")
        if interval not in NAMES:
            raise api_errors.invalid_interval()
        query = KlineQuery(
            symbol, interval, params.integer("startTime"), params.integer("endTime"), _limit(params, 500, MOST_KLINES)
        )
        await self._market.klines.draw(query, self._now_ms())
        return to_answer(self._market.klines.select(query, self._now_ms()))

    async def price_ticker(self, request: web.Request) -> web.Response:
        """Answer last prices."""
        now = self._now_ms()
        source = self._market.source
        return self._each(
            _read(request, "symbol", "symbols"),
            lambda symbol: {"symbol": symbol, "price": format_units(source.price(symbol, now))},
        )

    async def day_ticker(self, request: web.Request) -> web.Response:
        """Answer the statistics of the last 24 hours."""
        params = _read(request, "symbol", "symbols", "type")
        brief = (params.text("type", "FULL|MINI") or "FULL") == "MINI"
        now = self._now_ms()
        return self._each(params, lambda symbol: to_day_ticker(self._market.source, symbol, now, brief))

    async def book_ticker(self, request: web.Request) -> web.Response:
        """Answer the best bids and asks."""
        now = self._now_ms()
        params = _read(request, "symbol", "symbols")
        return self._each(params, lambda symbol: to_book_ticker(self._market.source, symbol, now))

    async def depth(self, request: web.Request) -> web.Response:
        """Answer the order book."""
        params = _read(request, "symbol", "limit")
        symbol, levels, now = self._symbol(params), _limit(params, 100, MOST_LEVELS), self._now_ms()
        bids, asks = (
            [[format_units(price), format_units(quantity)] for price, quantity in side.T.tolist()]
            for side in make_book(self._market.source, symbol, now, levels)
        )
        return to_answer({"lastUpdateId": now, "bids": bids, "asks": asks})

    async def trades(self, request: web.Request) -> web.Response:
        """Answer the newest public trades, oldest first."""
        params = _read(request, "symbol", "limit")
        symbol, count = self._symbol(params), _limit(params, 500, MOST_TRADES)
        return to_answer(to_trades(self._market, symbol, count, self._now_ms()))

    async def average_price(self, request: web.Request) -> web.Response:
        """Answer the average price of the last five minutes."""
        symbol = self._symbol(_read(request, "symbol"))
        return to_answer(to_average_price(self._market.source, symbol, self._now_ms()))

    def _now_ms(self) -> int:
        return self._market.clock.now_ms()

    def _symbol(self, params: Parameters) -> str:
        symbol = need(params.text("symbol", SYMBOL), "symbol")
        if symbol not in self._market.instruments:
            raise api_errors.invalid_symbol()
        return symbol

    def _symbols(self, params: Parameters) -> tuple[list[str], bool]:
        """Return the symbols asked for, and whether the answer is a single object."""
        if params.sent("symbol") and params.sent("symbols"):
            raise api_errors.invalid_combination()
        if params.sent("symbol"):
            return [self._symbol(params)], True
        known = self._market.instruments
        if not params.sent("symbols"):
            return list(known), False
        symbols = orjson.loads(need(params.text("symbols", SYMBOLS), "symbols"))
        if len(set(symbols)) < len(symbols):
            raise api_errors.duplicate_parameter()
        if not symbols or any(symbol not in known for symbol in symbols):
            raise api_errors.invalid_symbol()
        return symbols, False

    def _each(self, params: Parameters, to_row: Callable[[str], dict[str, Any]]) -> web.Response:
        symbols, single = self._symbols(params)
        return to_answer(to_row(symbols[0]) if single else [to_row(symbol) for symbol in symbols])


def _read(request: web.Request, *known: str) -> Parameters:
    params = Parameters(parse_parameters(request.query_string, ""))
    params.check_known(known)
    return params


def _limit(params: Parameters, default: int, maximum: int) -> int:
    limit = params.limit(default, maximum)
    if limit < 1:
        raise api_errors.invalid_parameter("limit")
    return limit


def _read_permissions(params: Parameters) -> list[str] | None:
    name = "|".join(PERMISSIONS)
    text = params.text("permissions", rf'({name})|\["({name})"(,"({name})")*\]')
    return None if text is None else re.findall(name, text)


def _one_or_all(one: int, many: int) -> Callable[[web.Request], int]:
    return lambda request: one if "symbol" in request.query else many


def _day_ticker_weight(request: web.Request) -> int:
    if "symbol" in request.query:
        return 2
    count = request.query["symbols"].count(",") + 1 if "symbols" in request.query else MOST_LEVELS
    return next((weight for most, weight in _DAY_TICKER_WEIGHTS if count <= most), 80)


def _depth_weight(request: web.Request) -> int:
    limit = request.query.get("limit", "100")
    levels = int(limit) if limit.isdigit() else 100
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if levels <= most), 250)
