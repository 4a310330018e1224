"""The account half of the exchange as one piece: opened on its books, with all its endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web

from lib.simulator import books_control
from lib.simulator.account_routes import ACCOUNT_ROUTES
from lib.simulator.answers import to_answer
from lib.simulator.books import Books
from lib.simulator.demo_account import open_demo_account
from lib.simulator.faults import Faults
from lib.simulator.journal import Journal
from lib.simulator.limits import add_route
from lib.simulator.list_routes import LIST_ROUTES
from lib.simulator.market import Clock, Market
from lib.simulator.order_routes import ORDER_ROUTES
from lib.simulator.orders import OrderDesk
from lib.simulator.signed_calls import PrivateExchange, add_signed_routes

BOOKS_FILE = "books.sqlite"
SETTLE_SECONDS = 1.0
logger = logging.getLogger(__name__)


def open_exchange(
    market: Market, clock: Clock, faults: Faults, folder: Path | None, *, demo_account: bool
) -> PrivateExchange:
    """Open the account half on the books in `folder`, or in memory without one; fresh books get the demo account.

    Raises:
        JournalError: If the books cannot be used.
    """
    books = Books(Journal(None if folder is None else folder / BOOKS_FILE))
    exchange = PrivateExchange(market, clock, books, OrderDesk(books, market, faults))
    if demo_account and not books.accounts():
        open_demo_account(exchange)
    return exchange


def add_routes(app: web.Application, exchange: PrivateExchange) -> None:
    """Register the signed endpoints, the control of the books, and the settling of open orders once a second."""
    add_signed_routes(app, exchange, (*ORDER_ROUTES, *LIST_ROUTES, *ACCOUNT_ROUTES))
    add_route(app, "GET", "/sapi/v1/system/status", _answer_system_status, 1)
    books_control.add_routes(app, exchange)
    app.cleanup_ctx.append(_keep_settling(exchange))


async def _answer_system_status(_: web.Request) -> web.Response:
    """GET /sapi/v1/system/status, which needs no signature."""
    return to_answer({"status": 0, "msg": "normal"})


def _keep_settling(exchange: PrivateExchange) -> Callable[[web.Application], AsyncIterator[None]]:
    async def settle_every_second() -> None:
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            try:
                exchange.settle_all()
            except sqlite3.Error:
                logger.exception("Open orders could not be settled; the next second tries again.")

    async def context(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(settle_every_second())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        exchange.books.close()

    return context
