"""What the account half of the simulator may ask the market half, and the words both use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


class Clock(Protocol):
    """Exchange time: the machine's clock, or one driven through the control API."""

    def now_ms(self) -> int:
        """Return the present instant in Unix milliseconds."""
        ...


@dataclass(frozen=True)
class Instrument:
    """One spot market and its filters, as exchangeInfo publishes them.

    Attributes:
        tick_size: Step of prices (PRICE_FILTER).
        step_size: Step of quantities (LOT_SIZE), in base.
        min_quantity: Smallest quantity of any order, in base.
        max_quantity: Largest quantity of a limit order, in base.
        min_notional: Smallest price x quantity, in quote (NOTIONAL).
        max_market_quantity: Largest quantity of a market order, in base (MARKET_LOT_SIZE).
        percent_price_up: A price above this multiple of the average price is refused (PERCENT_PRICE_BY_SIDE).
        percent_price_down: A price below this multiple of the average price is refused.
        max_open_orders: Most open orders of one account on this symbol (MAX_NUM_ORDERS).
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    max_market_quantity: Decimal
    percent_price_up: Decimal
    percent_price_down: Decimal
    max_open_orders: int


Level = tuple[Decimal, Decimal]  # price, quantity


@dataclass(frozen=True)
class Book:
    """The order book at an instant, best price first on both sides."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Market(Protocol):
    """The public side of the exchange: what trades and at which price."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The symbols the exchange knows now; a delisted one is gone."""
        ...

    def status(self, symbol: str) -> str:
        """Return "TRADING", "HALT" (stopped for a while) or "BREAK" (not listed yet)."""
        ...

    def price(self, symbol: str, at_ms: int) -> Decimal:
        """Return the last price at an instant, a multiple of the tick size."""
        ...

    def book(self, symbol: str, at_ms: int) -> Book:
        """Return the order book at an instant."""
        ...

    def range(self, symbol: str, from_ms: int, to_ms: int) -> tuple[Decimal, Decimal]:
        """Return low and high of the price path over (from_ms, to_ms]."""
        ...
