"""What execution keeps.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from lib.execution.orders import Order, OrderIntent


class OrderDesk(Protocol):
    """One account's orders in the hands of its only writer. Each method is one committed transaction.

    The account's lock and the writes share one connection: who has lost the lock cannot write any more, and so sends
    nothing, since nothing is sent before it is written.
    """

    def add(self, intent: OrderIntent) -> Order:
        """Store an intent unless it is stored, and return its order as stored.

        Raises:
            OrderRefused: Its client order id names another order.
        """
        ...

    def add_all(self, intents: Sequence[OrderIntent]) -> Sequence[Order]:
        """Do so for each of the intents, or for none; return their orders in the same order.

        Raises:
            OrderRefused: As `add`.
        """
        ...

    def load(self, client_order_id: str) -> Order | None:
        """Return an order, if there is one of that name."""
        ...

    def load_unfinished(self) -> Sequence[Order]:
        """Return the orders that are in no final state, by creation."""
        ...

    def save_all(self, before: Sequence[Order], after: Sequence[Order]) -> Sequence[Order]:
        """Store what has become of each of some orders, or of none; return `after`. Raises as `save`."""
        ...

    def save(self, before: Order, after: Order) -> Order:
        """Store what has become of an order, with its attempts and fills; return `after`.

        Raises:
            IllegalTransition: The states do not follow each other.
            AccountBusy: The order is stored otherwise than `before`: another process has written it.
        """
        ...


class OrderStore(Protocol):
    """Orders of all accounts."""

    def open_desk(self, account: str) -> AbstractContextManager[OrderDesk]:
        """Become the account's only writer until the end of the context, or of the process.

        Raises:
            AccountBusy: Another process is.
        """
        ...

    def load_orders(
        self,
        account: str,
        *,
        since: datetime | None = None,
        plan: str | None = None,
        filled_after: datetime | None = None,
    ) -> Sequence[Order]:
        """Return the account's orders by creation: those created since, of one plan, with a later fill, or all."""
        ...

    def load_unfinished(self, account: str) -> Sequence[Order]:
        """Return the orders that are in no final state, by creation."""
        ...

    def load_notional(self, account: str, since: datetime, without: str = "") -> Decimal:
        """Return the quote amount of the account's orders created since: what was filled, and what still may be.

        Exits and protective orders do not count: what a stop loss sells takes nothing from what people may trade.

        Args:
            account: Whose.
            since: UTC.
            without: The client order id of an order that does not count.
        """
        ...
