"""Order books: what could be bought and sold at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


class Level(NamedTuple):
    """One price of a book and what is offered or wanted there.

    Attributes:
        price: Quote per base.
        quantity: Base, above zero.
    """

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True)
class OrderBook:
    """The best levels of a symbol; either side may be empty.

    Attributes:
        symbol: "BTC/USDT".
        bids: Who wants to buy, the highest price first.
        asks: Who wants to sell, the lowest price first.
    """

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
