"""What an order meets in the market: the levels it takes at once, and the instant the price path first reaches it.

Own orders never move the market and never meet each other; the book is the same after an order as before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from lib.simulator.fees import cut_off
from lib.simulator.market import Level, Market
from lib.simulator.records import Side


@dataclass(frozen=True)
class Fill:
    """A quantity of base at a price."""

    price: Decimal
    quantity: Decimal

    @property
    def quote(self) -> Decimal:
        """What it comes to in quote."""
        return cut_off(self.price * self.quantity)


def to_steps(quantity: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that is not above `quantity`."""
    return quantity // step * step


def take_levels(market: Market, symbol: str, side: Side, at_ms: int) -> tuple[Level, ...]:
    """Return the side of the book that an order of `side` takes from, best price first."""
    book = market.book(symbol, at_ms)
    return book.asks if side is Side.BUY else book.bids


def reach(levels: tuple[Level, ...], side: Side, limit: Decimal) -> tuple[Level, ...]:
    """Return the levels that a limit price reaches."""
    return tuple(level for level in levels if (level[0] <= limit if side is Side.BUY else level[0] >= limit))


def walk_quantity(levels: tuple[Level, ...], quantity: Decimal) -> list[Fill]:
    """Take a quantity of base, level after level; the fills come to less where the levels do not hold it."""
    fills: list[Fill] = []
    for price, available in levels:
        if quantity <= 0:
            break
        fills.append(Fill(price, min(available, quantity)))
        quantity -= fills[-1].quantity
    return fills


def walk_quote(levels: tuple[Level, ...], quote: Decimal, step: Decimal) -> list[Fill]:
    """Take as many steps of base as an amount of quote comes to, level after level."""
    fills: list[Fill] = []
    for price, available in levels:
        quantity = min(available, to_steps(quote / price, step))
        if quantity <= 0:
            break
        fills.append(Fill(price, quantity))
        quote -= fills[-1].quote
    return fills


def cut_short(fills: list[Fill], quantity: Decimal) -> list[Fill]:
    """Return the first of the fills up to a quantity."""
    return walk_quantity(to_levels(fills), quantity)


def to_levels(fills: list[Fill]) -> tuple[Level, ...]:
    """Return fills as the levels they came from."""
    return tuple((fill.price, fill.quantity) for fill in fills)


def total_quantity(fills: list[Fill]) -> Decimal:
    """Return the base of all fills."""
    return sum((fill.quantity for fill in fills), Decimal(0))


def total_quote(fills: list[Fill]) -> Decimal:
    """Return the quote of all fills."""
    return sum((fill.quote for fill in fills), Decimal(0))


def find_crossing(
    market: Market, symbol: str, level: Decimal, *, falling: bool, from_ms: int, to_ms: int
) -> int | None:
    """Return the first millisecond from `from_ms` to `to_ms` at which the price path is at or beyond a level.

    The instant does not depend on when one looks, so that an order fills alike whether it is watched every second or
    once a day. Beyond means below for a falling path.
    """

    def is_reached(until_ms: int) -> bool:
        low, high = market.range(symbol, from_ms, until_ms)
        return low <= level if falling else high >= level

    if to_ms < from_ms or not is_reached(to_ms):
        return None
    if is_reached(from_ms):
        return from_ms  # the price was set at the very instant at which it was last looked at
    before_ms, reached_ms = from_ms, to_ms
    while reached_ms - before_ms > 1:
        middle_ms = (before_ms + reached_ms) // 2
        if is_reached(middle_ms):
            reached_ms = middle_ms
        else:
            before_ms = middle_ms
    return reached_ms
