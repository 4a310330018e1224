"""What proposing and sending single orders both ask: steps, best prices, positions, used signals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from lib.errors import OrderRefused, RetryableError
from lib.execution.checks import check_symbol
from lib.execution.opening import check_unused
from lib.execution.protection import Guard
from lib.execution.tickets import Ticket
from lib.platform import Platform
from lib.portfolio.exits import Exit
from lib.portfolio.fills import Fill, Side
from lib.portfolio.stores import HeldPosition, Listing

A_DAY = timedelta(days=1)


async def load_listing(platform: Platform, symbol: str) -> Listing:
    """Return what is known of a symbol that trades.

    Raises:
        CheckRefused: It is not known, or does not trade.
    """
    listings = await asyncio.to_thread(platform.market.load_listings, {symbol})
    return check_symbol(symbol, listings.get(symbol), is_watched=True)


async def find_best(platform: Platform, symbol: str, side: Side) -> Decimal:
    """Return the best price for whoever buys or sells now.

    Raises:
        OrderRefused: Nobody takes the other side.
    """
    book = await platform.books.fetch_book(symbol)
    levels = book.asks if side is Side.BUY else book.bids
    if not levels:
        raise OrderRefused(f"Nobody takes the other side of {symbol} now. Try again later.")
    return levels[0].price


async def find_held(platform: Platform, account: str, symbol: str) -> HeldPosition | None:
    """Return the open position of a symbol, if there is one."""
    held = await asyncio.to_thread(platform.portfolio.load_held, account)
    return next((one for one in held if one.symbol == symbol), None)


async def check_imported(platform: Platform, account: str, symbol: str, known: Sequence[Guard]) -> None:
    """Refuse to go by a position that lacks fills of our own orders: what one of them has sold is not there any more.

    Args:
        platform: The parts.
        account: Whose.
        symbol: Of the position.
        known: What protected it; its orders may be older than the day's, which are looked at too.

    Raises:
        RetryableError: Some are not imported yet.
    """
    since = platform.clock.now() - A_DAY
    orders = await asyncio.to_thread(platform.trading.orders.load_orders, account, since=since)
    protective = [order for one in known for order in one.orders]
    ours = [fill for order in (*orders, *protective) if order.intent.symbol == symbol for fill in order.fills]
    if not await asyncio.to_thread(_are_imported, platform, account, ours):
        raise RetryableError(f"Fills of {symbol} are not imported yet, so nothing is sold. Try again.")


def _are_imported(platform: Platform, account: str, fills: Sequence[Fill]) -> bool:
    with platform.portfolio.open_books(account) as books:
        stored = books.load_stored(fills)
    return all(fill.key in stored for fill in fills)


async def check_signal_unused(platform: Platform, ticket: Ticket) -> None:
    """Refuse a ticket whose signal another one has followed.

    Raises:
        OrderRefused: It has.
    """
    if ticket.signal is None:
        return
    executed = await asyncio.to_thread(platform.trading.tickets.load_of_signal, ticket.account, ticket.signal)
    check_unused(executed, ticket.client_order_id)


async def load_crossing(platform: Platform, account: str, symbol: str, exit_id: int) -> Exit:
    """Return an exit that is still to be sold.

    Raises:
        OrderRefused: It has ended, or is of another position.
        OperatorError: There is none of that number.
    """
    crossing = await asyncio.to_thread(platform.trading.exits.load, exit_id)
    if (crossing.account, crossing.symbol) != (account, symbol) or not crossing.state.is_open:
        raise OrderRefused(
            f"Exit {exit_id} is {crossing.state}, of {crossing.account} {crossing.symbol}. Leave exit_id empty."
        )
    return crossing
