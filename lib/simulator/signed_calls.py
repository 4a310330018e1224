"""Signed requests: who calls, whether the call is well formed, and which endpoint answers it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from lib.simulator import api_errors, signing
from lib.simulator.answers import to_answer
from lib.simulator.books import Books
from lib.simulator.limits import Weight, add_route
from lib.simulator.market import Clock, Market
from lib.simulator.orders import OrderDesk
from lib.simulator.parameters import Parameters
from lib.simulator.records import Account

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrivateExchange:
    """What the signed endpoints work on."""

    market: Market
    clock: Clock
    books: Books
    desk: OrderDesk

    def settle_all(self) -> None:
        """Book what the price path has done to the open orders of every account up to now."""
        for account in self.books.accounts():
            self.desk.settle(account, self.clock.now_ms())


@dataclass(frozen=True)
class Call:
    """One signed request that may be answered.

    Attributes:
        at_ms: Exchange time at which it is answered; the account's open orders are settled up to it.
    """

    exchange: PrivateExchange
    account: Account
    parameters: Parameters
    at_ms: int


@dataclass(frozen=True)
class Route:
    """One signed endpoint.

    Attributes:
        answer: Does the work and returns the JSON value.
        parameters: Every parameter it reads, besides those of the signature; others are refused with -1104.
        weight: Request weight.
        orders: How many new orders it counts as.
    """

    method: str
    path: str
    answer: Callable[[Call], Any]
    parameters: tuple[str, ...]
    weight: Weight
    orders: int = 0


def add_signed_routes(app: web.Application, exchange: PrivateExchange, routes: tuple[Route, ...]) -> None:
    """Register signed endpoints with their weights."""
    for route in routes:
        add_route(app, route.method, route.path, _make_handler(exchange, route), route.weight, route.orders)


def _make_handler(exchange: PrivateExchange, route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        text = await signing.read_signed_text(request)
        try:
            # Nothing is awaited from here on, so that no other request comes between a check and its change.
            return to_answer(route.answer(_open_call(exchange, route, signing.read_key(request), text)))
        except sqlite3.Error as error:
            logger.exception("The simulator's books could not be changed; nothing of the request was booked.")
            raise api_errors.unknown_error() from error

    return handle


def _open_call(exchange: PrivateExchange, route: Route, key: str, text: signing.SignedText) -> Call:
    account = exchange.books.find_account(key)
    if account is None:
        raise api_errors.rejected_key()
    now_ms = exchange.clock.now_ms()
    parameters = signing.check_signature(text, account.api_secret, now_ms)
    parameters.check_known((*route.parameters, *signing.SIGNING_PARAMETERS))
    exchange.desk.settle(account, now_ms)
    return Call(exchange, account, parameters, now_ms)
