"""Gathering what the pre-trade checks need, before every order that is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from lib.errors import CheckRefused
from lib.execution.checks import (
    Facts,
    OrderLimits,
    Verdict,
    check_halt,
    check_order,
    check_symbol,
    judge,
    judge_order,
)
from lib.execution.orders import OrderIntent
from lib.execution.protection import free_up
from lib.execution.stores import OrderStore
from lib.execution.venue import OrderVenue
from lib.portfolio.stores import Listing, MarketFacts
from lib.ports import BookSource, Clock, ExchangeAccount

Halted = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Gate:
    """The `Check` of `lib.execution.placing`.

    Attributes:
        account: Whose balances pay.
        venue: Knows what the key may do.
        books: Order books.
        market: Stored symbols.
        store: The day's other orders.
        watched: Symbols that may be traded: the universe, and what is held.
        halted: Says why trading is halted, None when it is not; asked anew for each order.
        limits: The operator's.
        clock: Now.
        freed: What protective orders hold of an asset, and free before this order is sent; base by asset.
    """

    account: ExchangeAccount
    venue: OrderVenue
    books: BookSource
    market: MarketFacts
    store: OrderStore
    watched: Collection[str]
    halted: Halted
    limits: OrderLimits
    clock: Clock
    freed: Mapping[str, Decimal] = field(default_factory=dict)

    async def check(self, intent: OrderIntent) -> None:
        """Refuse an order that must not be sent now.

        Raises:
            CheckRefused: With its code.
            FksError: What is needed to decide could not be had; nothing is decided.
        """
        check_halt(await self.halted())
        facts = await self._gather(intent)
        check_order(intent, facts, self.limits)
        check_halt(await self.halted())  # the questions above may have waited long for request weight

    async def review(self, intent: OrderIntent) -> list[Verdict]:
        """Return what every check would say now of an order that is only proposed; nothing is sent.

        Raises:
            FksError: What is needed to judge could not be had.
        """
        reason = await self.halted()
        verdicts = [judge("trading halt", lambda: check_halt(reason))]
        try:
            facts = await self._gather(intent)
        except CheckRefused as error:  # of the symbol: the other checks cannot be asked
            return [*verdicts, Verdict("symbol", error)]
        return [*verdicts, Verdict("symbol"), *judge_order(intent, facts, self.limits)]

    async def _gather(self, intent: OrderIntent) -> Facts:
        loaded, day_notional = await asyncio.to_thread(self._load, intent)
        listing = check_symbol(intent.symbol, loaded, is_watched=intent.symbol in self.watched)
        permissions = await self.venue.fetch_permissions()
        balances = free_up(await self.account.fetch_balances(), self.freed)
        book_at = self.clock.now()
        book = await self.books.fetch_book(intent.symbol)
        return Facts(self.clock.now(), permissions, listing, book, book_at, balances, day_notional)

    def _load(self, intent: OrderIntent) -> tuple[Listing | None, Decimal]:
        listing = self.market.load_listings({intent.symbol}).get(intent.symbol)
        day = start_of_day(self.clock.now())
        return listing, self.store.load_notional(intent.account, day, without=intent.client_order_id)


def start_of_day(now: datetime) -> datetime:
    """Return since when orders count for the limit of a day: 00:00 UTC."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
