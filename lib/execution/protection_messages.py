"""What people are told about protective orders: what one sold, that one is gone, that one could not be placed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lib.execution.orders import Order, OrderKind
from lib.execution.protection import TRY_AGAIN, Ending, Guard, Protection
from lib.execution.protection_needs import judge
from lib.execution.ticket_messages import describe_position
from lib.execution.ticket_report import describe_fills
from lib.notifications.messages import Message, MessageType, Severity
from lib.portfolio.ledger import Position
from lib.portfolio.money import format_number
from lib.portfolio.stores import HeldPosition
from lib.units import EPOCH

WATCHED = "The five-minute check of stop losses goes on, by the account's stop_policy."

CANCELLED = (
    "was cancelled, and not by FKS. It is not placed again, so that nobody is worked against.\n"
    f"{WATCHED}\n"
    "What to do: nothing, if it was you. To have it again, start the flow protect-positions, or change a limit "
    "with set-stop-loss. If nobody knows it, look who is logged in there."
)


def write_ended(
    guard: Guard, held: HeldPosition | None, closed: Position | None, at: datetime, *, known: Sequence[Guard] = ()
) -> Message | None:
    """Write what people must know of a protection that has ended; None where it is nothing, as of one released by us.

    Args:
        guard: With all fills of its orders.
        held: The position now; None when none is open.
        closed: The position that it has closed.
        at: UTC.
        known: The account's protections, by creation; what is refused is told once until one of them has rested again.
    """
    if guard.executed_quantity:
        return _write_sold(guard, held, closed, at)
    if guard.ending is Ending.CANCELLED:
        return _write_gone(guard, at)
    if guard.ending in (Ending.REFUSED, Ending.EXPIRED):
        return _write_unprotected(guard, known, at)
    return None


def _write_unprotected(guard: Guard, known: Sequence[Guard], at: datetime) -> Message:
    """Write the warning that nothing rests: once for each that rested and was ended by the exchange.

    What is refused is told once for its limits, until another one has rested.
    """
    protection, why = guard.protection, _describe_refusal(guard)
    key = f"unprotected:{protection.account}:{protection.symbol}:{protection.opened_by}:{protection.describe()}"
    if guard.ending is Ending.EXPIRED:
        key += f":{protection.protection_id}"
    elif rested := [one for one in known if one.has_rested and _is_older(one.protection, protection)]:
        key += f":after {rested[-1].protection.protection_id}"
    body = (
        f"No protective order rests for {protection.symbol}: {why.rstrip('.')}.\n{WATCHED}\n"
        "What to do: set other limits with the flow set-stop-loss if the reason is in them; without that it is tried "
        f"again at least every {TRY_AGAIN.total_seconds() / 60:.0f} minutes, and by the flow protect-positions at once."
    )
    title = f"🛑 Not protected on the exchange: {protection.symbol} ({protection.account})"
    return Message(MessageType.STOP_LOSS, Severity.WARNING, title, body, key, at)


def write_target_refused(guard: Guard, at: datetime) -> Message:
    """Write the note that a stop loss rests without its take profit, which the exchange refused; once for its limits.

    Args:
        guard: The one that was refused; another one rests in its place.
        at: UTC.
    """
    protection = guard.protection
    body = (
        f"The stop loss of {protection.symbol} ({protection.describe()}) rests on the exchange without its take "
        f"profit: {guard.why_refused.rstrip('.')}.\nThe five-minute check of take profits goes on, by the account's "
        "take_profit_policy.\nWhat to do: set another take profit with the flow set-stop-loss if the reason is in it; "
        f"without that it is tried again every {TRY_AGAIN.total_seconds() / 60:.0f} minutes."
    )
    title = f"🎯 Take profit not on the exchange: {protection.symbol} ({protection.account})"
    limits = f"{protection.opened_by}:{protection.describe()}"
    key = f"target refused:{protection.account}:{protection.symbol}:{limits}"
    return Message(MessageType.STOP_LOSS, Severity.WARNING, title, body, key, at)


def _is_older(one: Protection, other: Protection) -> bool:
    same = (one.symbol, one.opened_by) == (other.symbol, other.opened_by)
    return same and one.created_at < other.created_at


def write_protecting_failed(account: str, symbol: str, error: str, at: datetime, *, is_held: bool) -> Message:
    """Write the warning that a symbol's protective orders could not be brought up to date; at most one an hour.

    Args:
        account: Whose.
        symbol: Of the orders.
        error: What went wrong.
        at: UTC.
        is_held: Whether there is a position; without one they may sell what else is on the account.
    """
    slot = (at - EPOCH) // TRY_AGAIN
    key = f"protecting failed:{account}:{symbol}:{slot}"
    danger = (
        WATCHED if is_held else "The position is closed: what still rests may sell what else the account has of it."
    )
    body = (
        f"The protective orders of {symbol} could not be brought up to date: {error.rstrip('.')}.\n{danger}\n"
        "What to do: nothing if it passes, since the next chain tries again; otherwise look at the account's open "
        "orders there."
    )
    title = f"🛑 Protection failed: {symbol} ({account})"
    return Message(MessageType.STOP_LOSS, Severity.WARNING, title, body, key, at)


def write_halted(protection: Protection, why: str, at: datetime) -> Message:
    """Write the warning that nothing rests for a position any more, and that a halt keeps it so; once for its end.

    Args:
        protection: The one that ended last.
        why: Says that trading is halted.
        at: UTC.
    """
    body = (
        f"No protective order rests for {protection.symbol} any more, and none is placed while trading is halted. {why}"
        "\nThe five-minute check of stop losses tells of a crossing, and sells nothing either while trading is halted."
        "\nWhat to do: `fks release`, and the next chain protects it; sell by hand what must go before."
    )
    title = f"🛑 Not protected during the halt: {protection.symbol} ({protection.account})"
    key = f"unprotected by halt:{protection.account}:{protection.protection_id}"
    return Message(MessageType.STOP_LOSS, Severity.WARNING, title, body, key, at)


def _write_sold(guard: Guard, held: HeldPosition | None, closed: Position | None, at: datetime) -> Message:
    protection = guard.protection
    orders = [order for order in guard.orders if order.fills]
    is_target = all(order.intent.kind is OrderKind.LIMIT_MAKER for order in orders)
    title = "🎯 Take profit sold on the exchange" if is_target else "🛑 Stop loss sold on the exchange"
    left = protection.quantity - guard.executed_quantity
    lines = (
        *(f"{_start_sentence(describe_fills(order))}." for order in orders),
        f"It rested on the exchange for the {_name_limits(guard, orders)}.",
        describe_position(protection.symbol.partition("/")[2], held, closed),
        f"{format_number(left)} of it was not sold: {protection.release_why or 'the order ended before'}."
        if left
        else "",
        _say_what_follows(guard, held, at),
    )
    body = "\n".join(line for line in lines if line)
    key = f"protection sold:{protection.account}:{protection.protection_id}"
    heading = f"{title}: {protection.symbol} ({protection.account})"
    return Message(MessageType.STOP_LOSS, Severity.WARNING, heading, body, key, at)


def _say_what_follows(guard: Guard, held: HeldPosition | None, at: datetime) -> str:
    if held is None:
        return "What to do: nothing; it is done."
    judged = judge(held, (guard,), is_on=True, now=at)
    if guard.ending is Ending.CANCELLED and not judged.is_due:
        return f"The rest of it {CANCELLED}"
    if guard.ending is Ending.RELEASED:
        return "What to do: nothing; what is left when that is done is protected where it has a stop loss."
    if judged.is_due:
        return "What to do: nothing; what is left is protected by the next chain."
    return f"What is left is not protected by the next chain: {judged.why}.\n{WATCHED}"


def _name_limits(guard: Guard, orders: list[Order]) -> str:
    protection = guard.protection
    names = {
        OrderKind.STOP_LOSS_LIMIT: f"stop loss {format_number(protection.stop_loss)}",
        OrderKind.LIMIT_MAKER: f"take profit {format_number(protection.take_profit or protection.stop_loss)}",
    }
    return " and the ".join(names[order.intent.kind] for order in orders)


def _write_gone(guard: Guard, at: datetime) -> Message:
    protection = guard.protection
    body = (
        f"The protective order of {protection.symbol} ({protection.describe()}, "
        f"{format_number(protection.quantity)}) {CANCELLED}"
    )
    title = f"🛑 Protective order cancelled: {protection.symbol} ({protection.account})"
    key = f"protection gone:{protection.account}:{protection.protection_id}"
    return Message(MessageType.STOP_LOSS, Severity.WARNING, title, body, key, at)


def _describe_refusal(guard: Guard) -> str:
    if guard.ending is Ending.EXPIRED:
        return "the exchange has ended it by itself"
    return guard.why_refused


def _start_sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
