"""What people are told about single orders: that one waits for approval, what came of it, that an exit failed."""

from __future__ import annotations

from datetime import datetime, timedelta

from lib.execution.ticket_report import OrderReview, describe_deadline, describe_execution
from lib.execution.tickets import Executed, Ticket
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import FAMILIES
from lib.portfolio.alarms import AlarmKind
from lib.portfolio.exits import Exit, ExitPolicy
from lib.portfolio.fills import Side
from lib.portfolio.ledger import Position
from lib.portfolio.money import format_average, format_number
from lib.portfolio.stores import HeldPosition
from lib.units import EPOCH, format_money

ORDERS = FAMILIES[MessageType.REBALANCE]  # the sign of orders and of decisions on them, whoever subscribed


def write_approval_wanted(review: OrderReview, ticket: Ticket, at: datetime) -> Message:
    """Write the message that an order waits for a person; once a ticket.

    Args:
        review: What is to be decided on.
        ticket: Its ticket.
        at: UTC.
    """
    worth = format_money(ticket.quantity * ticket.reference_price, ticket.quote)
    note = f" ({review.note})" if review.note else ""
    body = (
        f"{_start_sentence(ticket.name)}, worth {worth} at {format_number(ticket.reference_price)}{note}: "
        f"{ticket.why}.\n"
        f"What to do: open the run in the Prefect UI, press Resume, and approve or reject until "
        f"{describe_deadline(review.answer_within, at)}. Without an answer nothing is sent."
    )
    severity = Severity.URGENT if ticket.exit_id is not None else Severity.WARNING
    title = f"{ORDERS} Approval wanted: {ticket.name}"
    return Message(type_of(ticket.side), severity, title, body, f"approval:{_key(ticket)}", at)


def write_executed(
    executed: Executed, held: HeldPosition | None, closed: Position | None, trouble: str, at: datetime
) -> Message:
    """Write the confirmation of an order that was filled, at least in part; once a ticket.

    Args:
        executed: Ticket and order.
        held: The position now; None when none is open.
        closed: The position that the order has closed.
        trouble: Why stop loss or take profit could not be set; empty otherwise.
        at: UTC.
    """
    ticket, order = executed.ticket, executed.order
    approved = f"Approved by {ticket.approval.who}." if ticket.approval else ""
    lines = (
        f"{_start_sentence(describe_execution(order))}.",
        f"Why: {ticket.why}. {approved}".strip(),
        describe_position(ticket.quote, held, closed),
        trouble,
        f"What to do: {_advise(executed, held, trouble)}",
    )
    title = f"{ORDERS} {'Bought' if ticket.side is Side.BUY else 'Sold'} {ticket.symbol} ({ticket.account})"
    severity = Severity.WARNING if ticket.exit_id is not None or trouble or order.remainder else Severity.INFO
    body = "\n".join(line for line in lines if line)
    return Message(type_of(ticket.side), severity, title, body, f"executed:{_key(ticket)}", at)


def _advise(executed: Executed, held: HeldPosition | None, trouble: str) -> str:
    if trouble:
        return "set the position's limits with the flow set-stop-loss."
    if executed.order.remainder:
        flow = "open-position" if executed.ticket.side is Side.BUY else "close-position"
        return f"nothing, or run {flow} again for the rest."
    if held is not None and held.stop_loss is None:
        return "give the position a stop loss with the flow set-stop-loss, as nothing watches it."
    return "nothing; it is done."


def describe_position(quote: str, held: HeldPosition | None, closed: Position | None) -> str:
    """Render what a sale or purchase has made of a position: what it is now, or what it has brought."""
    if held is not None:
        stop, target = (format_number(one) if one else "none" for one in (held.stop_loss, held.take_profit))
        return (
            f"The position now: {format_number(held.position.quantity)} at an average cost of "
            f"{format_average(held.position.average_cost)}, stop loss {stop}, take profit {target}."
        )
    if closed is None:
        return ""
    pnl = closed.realized_pnl_quote
    return f"The position is closed: {'loss' if pnl < 0 else 'profit'} {format_money(abs(pnl), quote)} realized."


def write_exit_failed(known: Exit, error: str, every: timedelta, at: datetime) -> Message:
    """Write the urgent message that a position could not be sold as its account's policy wants; once every so long.

    Args:
        known: The exit.
        error: Why, with the remedy.
        every: Between two messages.
        at: UTC.
    """
    again = "asks again" if known.policy is ExitPolicy.APPROVE else "tries again"
    what = "stop loss" if known.kind is AlarmKind.STOP_LOSS else "take profit"
    body = (
        f"{known.symbol} of {known.account} was to be sold since its {what} was crossed at "
        f"{known.wanted_at:%Y-%m-%d %H:%M} UTC, and is not: {error.rstrip('.')}.\n"
        f"What to do: mend that, or sell by hand on the exchange. The next chain {again} while the price is beyond "
        f"the {what}."
    )
    slot = (at - EPOCH) // every
    title = f"🛑 Not sold: {known.symbol} ({known.account})"
    return Message(MessageType.STOP_LOSS, Severity.URGENT, title, body, f"exit failed:{known.exit_id}:{slot}", at)


def type_of(side: Side) -> MessageType:
    """Return whom it concerns: who wants signals hears of purchases, who wants stop losses of sales."""
    return MessageType.SIGNAL if side is Side.BUY else MessageType.STOP_LOSS


def _key(ticket: Ticket) -> str:
    return f"{ticket.account}:{ticket.client_order_id}"


def _start_sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
