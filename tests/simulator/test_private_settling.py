"""The account half served by itself: orders settle without anyone asking, and a full disk answers an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiohttp import web

from lib.simulator.books import Books, Page
from lib.simulator.clock import DrivenClock
from lib.simulator.control import LISTING
from lib.simulator.journal import Journal
from lib.simulator.limits import CHARGES
from lib.simulator.private_api import add_routes
from lib.simulator.server import answer_errors
from lib.simulator.signed_calls import PrivateExchange
from lib.simulator.signing import sign
from tests.simulator.paper_market import START_MS, PaperExchange, open_paper_exchange


@dataclass
class Served:
    """A paper exchange that serves HTTP, its clock driven."""

    paper: PaperExchange
    clock: DrivenClock
    client: httpx.AsyncClient

    async def buy(self, quantity: str) -> httpx.Response:
        query = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity={quantity}&timestamp={self.clock.now_ms()}"
        signed = f"{query}&signature={sign('secret', query)}"
        return await self.client.post(f"/api/v3/order?{signed}", headers={"X-MBX-APIKEY": "key"})


@asynccontextmanager
async def served(journal: Journal) -> AsyncIterator[Served]:
    paper, clock = open_paper_exchange(books=Books(journal), USDT="10000"), DrivenClock(START_MS)
    app = web.Application(middlewares=[answer_errors])
    app[CHARGES], app[LISTING] = {}, []
    add_routes(app, PrivateExchange(paper.market, clock, paper.books, paper.desk))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        yield Served(paper, clock, client)
    await runner.cleanup()


async def test_open_orders_settle_once_a_second_without_any_request() -> None:
    async with served(Journal()) as exchange:
        order = exchange.paper.order("BUY", "LIMIT", quantity="1", price="95")
        exchange.paper.market.move("BTCUSDT", START_MS + 500, "94")
        exchange.clock.move_to(START_MS + 1000)
        async with asyncio.timeout(10):
            while exchange.paper.look(order).is_open:
                await exchange.client.get("/sapi/v1/system/status")  # which settles nothing
        assert exchange.paper.look(order).updated_at_ms == START_MS + 500


async def test_a_full_disk_is_answered_as_an_unknown_error_and_books_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "books.sqlite")
    async with served(journal) as exchange:
        journal.execute("PRAGMA max_page_count = 1")
        placed = 0
        while (reply := await exchange.buy("0.05")).status_code == 200:
            placed += 1
        assert (reply.status_code, reply.json()["code"]) == (500, -1000)
        assert len(exchange.paper.books.orders(1, Page())) == placed
        journal.execute("PRAGMA max_page_count = 100000")
        assert (await exchange.buy("0.05")).json()["orderId"] == placed + 1
