"""The place where orders are sent to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lib.execution.orders import OrderIntent, OrderReport
from lib.portfolio.fills import Fill


@dataclass(frozen=True)
class KeyPermissions:
    """What the account's key may do; `may_withdraw` covers every way in which money can leave the account."""

    may_trade: bool
    may_withdraw: bool


class OrderVenue(Protocol):
    """The orders of one account. Reads raise as `lib.ports.Exchange` does."""

    account: str

    async def submit(self, intent: OrderIntent, attempted_at: datetime) -> OrderReport:
        """Send a new order once, so that it cannot be booked later than `attempted_at` and a few seconds.

        Raises:
            OrderNotSent: Certainly nothing was booked.
            OrderRefused: The exchange said no.
            OutcomeUnknown: Anything else, also an answer that cannot be read.
        """
        ...

    async def submit_list(self, intents: Sequence[OrderIntent], attempted_at: datetime) -> Sequence[OrderReport]:
        """Send a stop loss and the take profit beside it in one request: all or none; the first to act ends the other.

        Args:
            intents: A stop-loss limit and a limit maker, of the same symbol, side and quantity.
            attempted_at: As of `submit`.

        Returns:
            A report for each intent, in their order.

        Raises:
            OrderNotSent: Certainly nothing was booked.
            OrderRefused: The exchange said no.
            OutcomeUnknown: Anything else.
        """
        ...

    async def find(self, symbol: str, client_order_id: str, since: datetime) -> OrderReport | None:
        """Return an order of ours that may have been booked at `since` or a little later; None when there is none.

        None is what two of the exchange's sources say: its orders, and the account's fills of that time.
        """
        ...

    async def fetch_order(self, symbol: str, order_id: str) -> OrderReport | None:
        """Return an order by the exchange's number, ours or not; None when there is none."""
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        """Cancel an open order once; look it up afterwards, since it may have filled before. Its list ends with it.

        Raises:
            UnknownOrder: It is not open.
            OrderRefused: The exchange said no.
            OrderNotSent: Certainly nothing was cancelled.
            OutcomeUnknown: Anything else.
        """
        ...

    async def fetch_open_orders(self, symbols: Collection[str]) -> Sequence[OrderReport]:
        """Return every open order of the account, ours or not, by time.

        Args:
            symbols: Known names; an order of another symbol bears the exchange's own name for it.
        """
        ...

    async def fetch_order_fills(self, report: OrderReport) -> Sequence[Fill]:
        """Return all fills of an order that are known, rising by id."""
        ...

    async def fetch_permissions(self) -> KeyPermissions:
        """Return what the key may do."""
        ...
