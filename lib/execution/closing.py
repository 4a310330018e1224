"""Proposing to sell a position, or a part of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal, localcontext

from lib.errors import OrderRefused
from lib.execution.tickets import Ticket
from lib.portfolio.alarms import AlarmKind
from lib.portfolio.exits import Exit
from lib.portfolio.fills import Balance, Side
from lib.portfolio.money import EXACT, format_number
from lib.portfolio.stores import HeldPosition, Listing
from lib.units import floor_to_step

ALL_PCT = Decimal(100)
REASONS = {AlarmKind.STOP_LOSS: "stop loss crossed", AlarmKind.TAKE_PROFIT: "take profit crossed"}


@dataclass(frozen=True)
class Sellable:
    """How much of a position can be sold.

    Attributes:
        quantity: Base, a multiple of the exchange's step, above zero.
        note: How what is there differs from the position; empty when it does not.
    """

    quantity: Decimal
    note: str


def measure_sellable(
    held: HeldPosition, balance: Balance | None, listing: Listing, wanted: Decimal | None = None
) -> Sellable:
    """Return the least of what is wanted, of the position, and of what the exchange says is free.

    Args:
        held: The position.
        balance: Of its base asset, asked for just now; None: there is none.
        listing: Of its symbol.
        wanted: Base; None: all of it.

    Raises:
        OrderRefused: Nothing can be sold.
    """
    base = held.symbol.partition("/")[0]
    free, locked = (balance.free, balance.locked) if balance else (Decimal(0), Decimal(0))
    step = listing.quantity_step
    if step is None:
        raise OrderRefused(f"The exchange's steps of {held.symbol} are not known. sync_market_data reads them.")
    note = ""
    if held.position.quantity - free > step:
        lock = f" and {format_number(locked)} locked in open orders" if locked else ""
        note = (
            f"the position has {format_number(held.position.quantity)} {base}, the account {format_number(free)} "
            f"free{lock}"
        )
    with localcontext(EXACT):
        most = min(held.position.quantity, free)
        quantity = floor_to_step(most if wanted is None else min(wanted, most), step)
    if not quantity:
        raise OrderRefused(
            f"Nothing of {held.name} can be sold: {note or 'it is less than the exchange takes'}. Cancel open orders "
            f"of {base} on the exchange if they hold it."
        )
    return Sellable(quantity, note)


def bound_exit(sellable: Sellable, best_bid: Decimal, max_order_notional: Decimal | None, listing: Listing) -> Sellable:
    """Return how much of an exit one order may sell: equal parts below the limit, so that no part is too small.

    A limit of the settings must never keep a stop loss from selling; the chains that follow sell the other parts.

    Args:
        sellable: All of it.
        best_bid: Quote per base.
        max_order_notional: Quote, of one order; None allows any.
        listing: Of the symbol.
    """
    if max_order_notional is None or sellable.quantity * best_bid <= max_order_notional:
        return sellable
    with localcontext(EXACT):
        parts = (sellable.quantity * best_bid / max_order_notional).to_integral_value(rounding=ROUND_CEILING)
        part = floor_to_step(sellable.quantity / parts, listing.quantity_step or Decimal(0))
    if not part:
        raise OrderRefused(
            "FKS_MAX_ORDER_NOTIONAL is less than the exchange's smallest step costs, so nothing can be sold. Raise it."
        )
    note = f"a part of {format_number(sellable.quantity)}: FKS_MAX_ORDER_NOTIONAL allows no more in one order"
    return Sellable(part, "; ".join(one for one in (sellable.note, note) if one))


def find_wanted(held: HeldPosition, quantity: Decimal | None, share_pct: Decimal) -> Decimal:
    """Return how much of a position is to be sold, in base.

    Raises:
        OrderRefused: More than there is, or both a quantity and a share.
    """
    if quantity is None:
        with localcontext(EXACT):
            return held.position.quantity * share_pct / ALL_PCT
    if share_pct != ALL_PCT:
        raise OrderRefused("Expected a quantity or a share, was both. Give one of them.")
    if quantity > held.position.quantity:
        raise OrderRefused(
            f"Expected at most {format_number(held.position.quantity)} of {held.name}, was {format_number(quantity)}. "
            "Leave the quantity empty to close all of it."
        )
    return quantity


def plan_closing(
    held: HeldPosition,
    sellable: Sellable,
    *,
    best_bid: Decimal,
    crossing: Exit | None,
    ticket_id: str,
    now: datetime,
    code_version: str,
) -> Ticket:
    """Return the ticket that sells what can be sold, decided at the best price that somebody buys at now."""
    return Ticket(
        account=held.account,
        client_order_id=ticket_id,
        symbol=held.symbol,
        side=Side.SELL,
        quantity=sellable.quantity,
        reference_price=best_bid,
        why=REASONS[crossing.kind] if crossing else "closed by hand",
        created_at=now,
        code_version=code_version,
        exit_id=crossing.exit_id if crossing else None,
        opened_by=held.position.opened_by,
    )
