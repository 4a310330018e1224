"""A Binance-like server that answers exactly what a test tells it, however wrong; and the parts tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

NOW = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)


class DrivenClock:
    """A clock that stands still until it is moved; sleeping on it moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.instant = now
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.instant

    def move(self, **by: float) -> None:
        self.instant += timedelta(**by)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds=seconds)


@dataclass
class Answer:
    """What to answer: a JSON value, or text or bytes as they are; `drop` closes the connection instead."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    drop: bool = False
    hang: bool = False


GARBAGE: dict[str, Answer] = {
    "an empty body": Answer(""),
    "white space": Answer("  \n"),
    "truncated JSON": Answer('[[1772622000000,"100.0","110.0'),
    "an HTML page": Answer("<html><body>Please wait</body></html>", content_type="text/html"),
    "HTML that calls itself JSON": Answer("<html></html>"),
    "text": Answer("hello", content_type="text/plain"),
    "bytes": Answer(b"\x00\xff\x01", content_type="application/octet-stream"),
    "null": Answer(None),
    "a number": Answer("17"),
    "an object of nothing": Answer({}),
    "a list in a list in a list": Answer([[[]]]),
    "a list of numbers": Answer([1, 2, 3]),
    "a list of texts": Answer(["a", "b"]),
    "an object with a strange code": Answer({"code": "abc", "msg": 5}),
    "not UTF-8": Answer(b'[["\xff\xfe'),
}


@dataclass
class Asked:
    """One request as it came; `query` has the fields of a form too."""

    endpoint: str
    query: dict[str, str]
    headers: dict[str, str]


class Peer:
    """Answers by the last part of the path; a list of answers is used up, its last one stays."""

    def __init__(self, clock: DrivenClock) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.answers: dict[str, list[Answer]] = {}
        self.clock = clock
        self.ahead = timedelta()
        self.in_flight = 0
        self.peak = 0
        self.gather = 1  # requests that must be under way before the first is answered
        self.gathered = asyncio.Event()

    def reply(self, endpoint: str, *answers: Any) -> None:
        """Set what an endpoint answers, one after the other."""
        self.answers[endpoint] = [one if isinstance(one, Answer) else Answer(one) for one in answers]

    def count(self, endpoint: str) -> int:
        return sum(asked.endpoint == endpoint for asked in self.asked)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        endpoint = request.path.removeprefix("/api/v3/").removeprefix("/sapi/v1/").removeprefix("/0/public/")
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(Asked(endpoint, dict(request.query) | form, dict(request.headers)))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if self.in_flight >= self.gather:
            self.gathered.set()
        try:
            await self.gathered.wait()
            return await self._answer(request, endpoint)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, endpoint: str) -> web.StreamResponse:
        queue = self.answers.get(endpoint) or [self._default(endpoint)]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if answer.hang:
            await asyncio.Event().wait()  # until the client goes away or the server stops
        if answer.drop:
            assert request.transport is not None
            request.transport.abort()
        raw = answer.body
        body = raw if isinstance(raw, bytes) else raw.encode() if isinstance(raw, str) else orjson.dumps(raw)
        return web.Response(body=body, status=answer.status, headers=answer.headers, content_type=answer.content_type)

    def _default(self, endpoint: str) -> Answer:
        if endpoint == "time":
            return Answer({"serverTime": milliseconds(self.clock.now() + self.ahead)})
        return Answer({"code": -1, "msg": f"the test told no answer for {endpoint}"}, status=404)


@asynccontextmanager
async def serve(clock: DrivenClock) -> AsyncIterator[Peer]:
    """Run a peer on loopback."""
    peer = Peer(clock)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", peer.handle)
    async with TestServer(app) as server:
        peer.url = str(server.make_url("")).rstrip("/")
        yield peer


def milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def kline(opened_at: datetime, minutes: int = 5, **changes: Any) -> list[Any]:
    """One row of klines as Binance writes it; `changes` by position (``at1="NaN"``)."""
    opened = milliseconds(opened_at)
    row: list[Any] = [
        opened,
        "100.00000000",
        "110.00000000",
        "90.00000000",
        "105.00000000",
        "12.50000000",
        opened + minutes * 60_000 - 1,
        "1275.00000000",
        42,
        "6.00000000",
        "612.00000000",
        "0",
    ]
    for position, value in changes.items():
        row[int(position.removeprefix("at"))] = value
    return row


def symbol_row(base: str = "BTC", quote: str = "USDT", **changes: Any) -> dict[str, Any]:
    """One symbol of exchangeInfo."""
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.0", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.0", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
        ],
    } | changes


def fill_row(fill_id: int, **changes: Any) -> dict[str, Any]:
    """One fill of myTrades."""
    return {
        "symbol": "BTCUSDT",
        "id": fill_id,
        "orderId": 7,
        "orderListId": -1,
        "price": "100.10000000",
        "qty": "0.12345678",
        "quoteQty": "12.35802367",
        "commission": "0.00012346",
        "commissionAsset": "BTC",
        "time": milliseconds(NOW) - 60_000,
        "isBuyer": True,
        "isMaker": False,
        "isBestMatch": True,
    } | changes
