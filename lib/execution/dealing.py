"""Sending the one order of an approved ticket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from lib.allocation.stores import Decision
from lib.errors import CheckRefused, OperatorError, OrderRefused, OutcomeUnknown
from lib.execution.checks import calc_bound
from lib.execution.orders import Order, OrderIntent, OrderKind, OrderState, TimeInForce
from lib.execution.placing import Placing
from lib.execution.stores import OrderStore
from lib.execution.tickets import Ticket
from lib.portfolio.fills import Side
from lib.portfolio.money import format_number
from lib.portfolio.stores import Listing
from lib.ports import Clock


def build_intent(
    ticket: Ticket, listing: Listing, max_slippage_pct: Decimal, now: datetime, quantity: Decimal | None = None
) -> OrderIntent:
    """Return a ticket's order: a limit at the worst price that is accepted, whose rest expires at once.

    An exit takes it too: the exchange keeps the bound, what the book has within it is sold, and the rest is tried
    again, where a market order would be refused as a whole or fill at any price.

    Args:
        ticket: What was reviewed.
        listing: Of its symbol.
        max_slippage_pct: Where its approval names no limit.
        now: UTC.
        quantity: What is left of the ticket's; None: all of it.

    Raises:
        OrderRefused: The exchange's steps are not known.
    """
    if listing.price_step is None:
        raise OrderRefused(f"The exchange's steps of {ticket.symbol} are not known. sync_market_data reads them.")
    approval = ticket.approval
    slippage = approval.max_slippage_pct if approval and approval.max_slippage_pct is not None else max_slippage_pct
    return OrderIntent(
        client_order_id=ticket.client_order_id,
        account=ticket.account,
        symbol=ticket.symbol,
        side=ticket.side,
        kind=OrderKind.LIMIT,
        quantity=ticket.quantity if quantity is None else quantity,
        reference_price=ticket.reference_price,
        created_at=now,
        why=ticket.why,
        limit_price=calc_bound(ticket.side, ticket.reference_price, slippage, listing.price_step),
        time_in_force=TimeInForce.IOC,
        plan=ticket.plan,
        approval=f"{approval.who}, {approval.at:%Y-%m-%d %H:%M:%S} UTC" if approval else None,
    )


def check_approved(ticket: Ticket, now: datetime, max_age: timedelta) -> None:
    """Refuse a ticket that nobody approved, or long ago.

    Raises:
        OperatorError: See above.
    """
    approval = ticket.approval
    if approval is None or approval.decision is not Decision.APPROVED:
        raise OperatorError(f"Nobody approved to {ticket.name}. Start the flow again, and have it approved.")
    if now - approval.at > max_age:
        raise OperatorError(
            f"To {ticket.name} was approved at {approval.at:%Y-%m-%d %H:%M} UTC, longer ago than "
            f"{max_age.total_seconds() / 60:.0f} minutes. Start the flow again."
        )


async def place_ticket(
    ticket: Ticket,
    intend: Callable[[], Awaitable[OrderIntent]],
    *,
    placing: Placing,
    orders: OrderStore,
    clock: Clock,
    max_age: timedelta,
) -> Order:
    """Send the ticket's order, or go on with it where a killed run has left it; return it when it is final.

    An order that is stored and was never sent (or that the exchange never had) is sent only after the same look as a
    new one: another run may have sold the position since. What may not be sent any more is withdrawn.

    Args:
        ticket: As it is stored.
        intend: Looks at position, signal and exit, and builds the order as it would be now.
        placing: Of the account.
        orders: The account's.
        clock: Now.
        max_age: Of the approval, and of an order that was never sent; after that nothing is sent.

    Raises:
        OperatorError: It is not approved, or what `intend` refuses.
        OutcomeUnknown: It is not known yet what became of it, or of another order of the account.
        CheckRefused: A check of ours refused it; nothing was sent.
        OrderRefused: The exchange refused it, or nobody took it at its bound.
    """
    known = await _load_order(ticket, orders)
    if known is None or not known.state.is_final:
        await learn_unfinished(placing, ticket.symbol if ticket.side is Side.SELL else None)
        known = await _load_order(ticket, orders)
    if known is None:
        check_approved(ticket, clock.now(), max_age)
        return _check_filled(await placing.place(await intend()))
    if known.state is not OrderState.NEW:
        return _check_filled(known)
    if clock.now() - known.intent.created_at > max_age:
        return _check_filled(await placing.cancel(ticket.client_order_id))
    try:
        _check_covered(known, await intend())
    except OperatorError:
        await placing.cancel(ticket.client_order_id)
        raise
    return _check_filled(await placing.place(known.intent))


async def withdraw_unsent(orders: Iterable[Order], placing: Placing) -> None:
    """Withdraw those orders that were never sent, so that nobody sends them later and no limit counts them."""
    for order in orders:
        if order.state is OrderState.NEW:
            await placing.cancel(order.intent.client_order_id)


async def _load_order(ticket: Ticket, orders: OrderStore) -> Order | None:
    return next(iter(await asyncio.to_thread(orders.load_orders, ticket.account, plan=ticket.plan)), None)


def _check_covered(known: Order, now: OrderIntent) -> None:
    """Refuse an order that is larger than what would be sent now.

    Raises:
        OrderRefused: It is.
    """
    if known.intent.quantity > now.quantity:
        raise OrderRefused(
            f"{known.name} was never sent, and only {format_number(now.quantity)} may be sent now. Start anew."
        )


async def learn_unfinished(placing: Placing, symbol: str | None = None) -> None:
    """Learn what became of orders that killed runs have left, so that balances can be believed.

    Args:
        placing: Of the account.
        symbol: Of the orders that matter; None: all. A sale needs its own symbol's: what another order holds is locked
            at the exchange, and no forgotten one may keep a stop loss from selling.

    Raises:
        OutcomeUnknown: One of them is still not known.
    """
    for order in await placing.resume(may_send=False, symbol=symbol):
        rests = order.intent.may_rest and order.state.is_at_exchange
        if not order.state.is_final and order.state is not OrderState.NEW and not rests:
            raise OutcomeUnknown(_describe_unknown(order))


def _check_filled(order: Order) -> Order:
    if not order.state.is_final:
        raise OutcomeUnknown(_describe_unknown(order))
    if order.fills:
        return order
    if order.refusal:
        raise CheckRefused(order.refusal, order.reason)
    if order.state is OrderState.REJECTED:
        raise OrderRefused(order.reason)
    bound = format_number(order.intent.limit_price or Decimal(0))
    raise OrderRefused(f"Nobody took {order.name} at {bound} or better, so it expired. Start the flow again.")


def _describe_unknown(order: Order) -> str:
    return (
        f"{order.name} is {order.state}, and nothing more is sent before its end is known. Start this again: it is "
        "looked up first."
    )
