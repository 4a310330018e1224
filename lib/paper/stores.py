"""What a paper account keeps of the exchange that it stands for: money brought in, orders, fills.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from lib.portfolio.fills import Fill, Side


@dataclass(frozen=True)
class PaperOrder:
    """A market order that was filled as far as the book went.

    Attributes:
        client_order_id: Whoever ordered chose it: the same one is the same order, and is filled once.
        symbol: "BTC/USDT".
        side: Buy or sell.
        quantity: Base, as ordered.
        fills: What it got; their `order_id` is this order's.
        at: When, UTC.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    fills: tuple[Fill, ...]
    at: datetime

    @property
    def executed_quantity(self) -> Decimal:
        """Base, of all fills."""
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def notional(self) -> Decimal:
        """Quote, of all fills, without fees."""
        return sum((fill.quantity * fill.price for fill in self.fills), Decimal(0))

    @property
    def average_price(self) -> Decimal:
        """Quote per base, of all fills."""
        return self.notional / self.executed_quantity


@dataclass(frozen=True)
class Transfer:
    """Money that was brought in (above zero) or taken out.

    Attributes:
        transfer_id: Unique within the account.
        asset: "USDT".
        amount: Of the asset.
        at: When, UTC.
    """

    transfer_id: str
    asset: str
    amount: Decimal
    at: datetime


class PaperBooks(Protocol):
    """One paper account, locked for one writer within one transaction."""

    def load_order(self, client_order_id: str) -> PaperOrder | None:
        """Return the order of that id, if there is one."""
        ...

    def load_balances(self) -> Mapping[str, Decimal]:
        """Return what is held of each asset."""
        ...

    def load_next_ids(self, symbol: str) -> tuple[int, int]:
        """Return the next order id of the account, and the next fill id of the symbol."""
        ...

    def save_order(self, order: PaperOrder) -> None:
        """Store a new order with its fills."""
        ...


class PaperStore(Protocol):
    """Paper accounts."""

    def save_transfer(self, account: str, transfer: Transfer) -> None:
        """Store a transfer unless one of its id is stored."""
        ...

    def load_transfers(self, account: str, since: datetime) -> Sequence[Transfer]:
        """Return the transfers at `since` or later, rising."""
        ...

    def load_balances(self, account: str) -> Mapping[str, Decimal]:
        """Return what is held of each asset that is held at all."""
        ...

    def load_fills(self, account: str, symbol: str, from_id: int) -> Sequence[Fill]:
        """Return the symbol's fills with an id >= `from_id`, rising."""
        ...

    def open_books(self, account: str) -> AbstractContextManager[PaperBooks]:
        """Begin a transaction as the account's only writer; it is committed unless an error leaves it."""
        ...
