"""Checks of order books.

Source: Binance Spot API, "Order book": levels are ``[price, quantity]`` as text, best first.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from lib.adapters.exchange.answers import refuse, to_list, to_object, to_positive
from lib.market.book import Level, OrderBook

Read = Callable[[Any, str, str], Decimal]


def to_book(answer: Any, *, where: str, symbol: str, read: Read = to_positive) -> OrderBook:
    """Return the order book of an answer with ``bids`` and ``asks``.

    Args:
        answer: JSON of ``depth``, or ccxt's unified order book.
        where: For messages.
        symbol: Whose.
        read: Reads a price or quantity above zero.

    Raises:
        BadAnswer: A value of a wrong type, levels out of order, or a best bid at or above the best ask.
    """
    book = to_object(answer, where)
    bids = _to_levels(book.get("bids"), where, "bids", read)
    asks = _to_levels(book.get("asks"), where, "asks", read)
    if [level.price for level in bids] != sorted({level.price for level in bids}, reverse=True):
        raise refuse(where, "bids", "falling prices", book["bids"])
    if [level.price for level in asks] != sorted({level.price for level in asks}):
        raise refuse(where, "asks", "rising prices", book["asks"])
    if bids and asks and bids[0].price >= asks[0].price:
        raise refuse(where, "bids", f"a best bid below the best ask {asks[0].price}", str(bids[0].price))
    return OrderBook(symbol, bids, asks)


def _to_levels(value: Any, where: str, side: str, read: Read) -> tuple[Level, ...]:
    levels = []
    for row in to_list(value, where, side):
        if not isinstance(row, list | tuple) or len(row) < 2:
            raise refuse(where, side, "pairs of price and quantity", row)
        levels.append(Level(read(row[0], where, f"price in {side}"), read(row[1], where, f"quantity in {side}")))
    return tuple(levels)
