"""Orders of a paper account: the same intents and protocol as on an exchange. The port `OrderVenue`."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime

from lib.errors import (
    DatabaseUnavailable,
    DataError,
    OrderNotSent,
    OrderRefused,
    OutcomeUnknown,
    RetryableError,
    UnknownOrder,
)
from lib.execution.orders import OrderIntent, OrderReport, OrderState
from lib.execution.venue import KeyPermissions
from lib.paper.account import PaperAccount, Wish
from lib.paper.stores import PaperOrder
from lib.portfolio.fills import Fill
from lib.portfolio.money import format_number
from lib.units import floor_to_step


class PaperOrders:
    """The orders of a paper account; each fills at once, as far as the exchange's book of that moment goes.

    Nothing rests: a limit that would wait for its price, and a stop, are refused.
    """

    def __init__(self, paper: PaperAccount) -> None:
        self.account = paper.account
        self._paper = paper

    async def submit(self, intent: OrderIntent, attempted_at: datetime) -> OrderReport:  # noqa: ARG002  books fence it
        """See `OrderVenue`. An order of the same name is filled once, whenever it comes."""
        if intent.may_rest:
            raise OrderRefused(
                f"A {intent.kind} order would wait for its price, which paper accounts do not do. "
                "Order at market, or with a limit that is filled at once or expires (ioc)."
            )
        wish = Wish(intent.symbol, intent.side, intent.client_order_id, intent.quantity, limit_price=intent.limit_price)
        try:
            await asyncio.to_thread(self._check_step, intent)
            order = await self._paper.trade(wish)
        except DatabaseUnavailable as error:
            raise OutcomeUnknown(str(error)) from error
        except RetryableError as error:  # no book was to be had, so nothing was stored
            raise OrderNotSent(str(error)) from error
        except DataError as error:
            raise OrderRefused(str(error)) from error
        return _to_report(order)

    async def submit_list(self, intents: Sequence[OrderIntent], attempted_at: datetime) -> Sequence[OrderReport]:  # noqa: ARG002  of the port
        """See `OrderVenue`."""
        raise OrderRefused(f"Nothing rests on the paper account {self.account}, so it takes no list of orders.")

    async def find(self, symbol: str, client_order_id: str, since: datetime) -> OrderReport | None:  # noqa: ARG002
        """See `OrderVenue`."""
        order = await self._paper.load_order(client_order_id)
        return None if order is None else _to_report(order)

    async def fetch_order(self, symbol: str, order_id: str) -> OrderReport | None:  # noqa: ARG002
        """See `OrderVenue`. Only we place orders here, and we know their names."""
        return None

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        """See `OrderVenue`."""
        raise UnknownOrder(f"No order {client_order_id} of {symbol} is open: nothing rests on a paper account.")

    async def fetch_open_orders(self, symbols: Collection[str]) -> Sequence[OrderReport]:  # noqa: ARG002  of the port
        """See `OrderVenue`."""
        return ()

    async def fetch_order_fills(self, report: OrderReport) -> Sequence[Fill]:
        """See `OrderVenue`."""
        order = await self._paper.load_order(report.client_order_id)
        return () if order is None else order.fills

    async def fetch_permissions(self) -> KeyPermissions:
        """See `OrderVenue`. There is no key."""
        return KeyPermissions(may_trade=True, may_withdraw=False)

    def _check_step(self, intent: OrderIntent) -> None:
        step = self._paper.load_listing(intent.symbol).quantity_step
        if step and floor_to_step(intent.quantity, step) != intent.quantity:
            raise OrderRefused(
                f"Expected a quantity of {intent.symbol} in steps of {format_number(step)}, was "
                f"{format_number(intent.quantity)}. Order a multiple."
            )


def _to_report(order: PaperOrder) -> OrderReport:
    is_filled = order.executed_quantity == order.quantity
    return OrderReport(
        client_order_id=order.client_order_id,
        order_id=order.fills[0].order_id,
        symbol=order.symbol,
        side=order.side,
        kind="MARKET",
        state=OrderState.FILLED if is_filled else OrderState.EXPIRED,
        quantity=order.quantity,
        executed=order.executed_quantity,
        price=None,
        created_at=order.at,
    )
