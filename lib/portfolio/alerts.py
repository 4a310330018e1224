"""What people are told about a position: the facts, the numbers, and what to do next."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from lib.notifications.messages import Message, MessageType, Severity
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.exits import ExitPolicy
from lib.portfolio.money import format_average, format_number
from lib.portfolio.stores import HeldPosition
from lib.units import format_money

FOLLOWS = {
    ExitPolicy.APPROVE: (
        "What is done: the flow close-position is started and waits for your approval in the Prefect UI; a message of "
        "its own says until when."
    ),
    ExitPolicy.EXIT: (
        "What is done: the flow close-position sells it now; a message of its own says what it got, or why it could "
        "not."
    ),
}
THEN = {
    ExitPolicy.APPROVE: "open that run, press Resume, and approve or reject; or sell by hand on the exchange.",
    ExitPolicy.EXIT: "nothing, unless that message says that it could not be sold; then sell by hand on the exchange.",
}


def render_alert(kind: AlarmKind, held: HeldPosition, now: datetime, policy: ExitPolicy = ExitPolicy.ALERT) -> Message:
    """Render the message of an alarm that is due, and what the account's policy does at this crossing.

    It is stored with the alarm in one transaction, and the alarm only in place of the one it was rendered from: that
    keeps it from being told twice. Its key names the instant, so no message that is stored can swallow it.
    """
    alarm = held.alarms.get(kind, Alarm())
    title, facts, advice = {
        AlarmKind.STOP_LOSS: _tell_stop_loss,
        AlarmKind.TAKE_PROFIT: _tell_take_profit,
        AlarmKind.STALE_PRICE: _tell_stale_price,
    }[kind](held, alarm, now)
    todo = f"What to do: {THEN.get(policy, advice)}"
    return Message(
        type=MessageType.OPERATIONS if kind is AlarmKind.STALE_PRICE else MessageType.STOP_LOSS,
        severity=Severity.WARNING if kind is AlarmKind.TAKE_PROFIT else Severity.URGENT,
        title=title,
        body="\n".join(line for line in (facts, _describe(held), FOLLOWS.get(policy), todo) if line),
        deduplication_key=f"{kind}:{held.account}:{held.symbol}:{held.position.opened_by}:{alarm.alerts}:{now:%Y%m%dT%H%M%S}",
        created_at=now,
    )


def _tell_stop_loss(held: HeldPosition, alarm: Alarm, _: datetime) -> tuple[str, str, str]:
    title = f"🛑 Stop loss triggered: {held.symbol} ({held.account})"
    facts = f"{held.symbol} is at {_price(held)}, at or below its stop loss of {_number(held.stop_loss)}."
    if alarm.raised_at is not None:
        title = f"🛑 Stop loss still triggered: {held.symbol} ({held.account})"
        facts += f" It was triggered first at {alarm.raised_at:%Y-%m-%d %H:%M} UTC, and the position is still open."
    advice = (
        f"run the flow close-position with account={held.account}, symbol={held.symbol}, execute=true, or sell by hand "
        "on the exchange (the next run sees it and closes the position); or set a lower stop loss or remove it with "
        "the flow set-stop-loss."
    )
    return title, facts, advice


def _tell_take_profit(held: HeldPosition, _alarm: Alarm, _now: datetime) -> tuple[str, str, str]:
    title = f"🎯 Take profit reached: {held.symbol} ({held.account})"
    facts = f"{held.symbol} is at {_price(held)}, at or above its take profit of {_number(held.take_profit)}."
    advice = (
        f"run the flow close-position with account={held.account}, symbol={held.symbol}, execute=true, or sell by hand "
        "on the exchange; or raise stop loss and take profit with the flow set-stop-loss."
    )
    return title, facts, advice


def _tell_stale_price(held: HeldPosition, _alarm: Alarm, now: datetime) -> tuple[str, str, str]:
    title = f"⚠️ No fresh price: {held.symbol} ({held.account})"
    consequence = "nobody knows what it is worth" if held.stop_loss is None else "nothing watches its stop loss"
    facts = f"{held.symbol} {describe_age(held, now)}, so {consequence}."
    advice = (
        f"look at {held.symbol} on the exchange and act there if needed; then see in the runs of critical-path why "
        "update_positions has no price for it (exchange down, symbol halted, price refused)."
    )
    return title, facts, advice


def describe_age(held: HeldPosition, now: datetime) -> str:
    """Render how old the position's price is: ``was last priced 12 minutes ago, at 142.1 (12:05:02 UTC)``."""
    if held.valuation is None:
        return "was never priced"
    at = held.valuation.price_at
    return f"was last priced {_duration(now - at)}, at {_price(held)} ({at:%Y-%m-%d %H:%M:%S} UTC)"


def _describe(held: HeldPosition) -> str:
    base, _, quote = held.symbol.partition("/")
    there = "" if held.is_covered else f" (the account holds only {_number(held.balance)})"
    text = (
        f"Quantity {format_number(held.position.quantity)} {base}{there}, "
        f"average cost {format_average(held.position.average_cost)}, "
        f"stop loss {_number(held.stop_loss)}, take profit {_number(held.take_profit)}"
    )
    if held.valuation is None:
        return text + "."
    pnl, pct = held.valuation.unrealized_pnl_quote, held.valuation.unrealized_pnl_pct
    word = "loss" if pnl < 0 else "profit"
    percent = f" ({pct:+.2f} %)" if pct is not None else ""
    return f"{text}, {word} {format_money(abs(pnl), quote)}{percent}."


def _price(held: HeldPosition) -> str:
    return _number(held.valuation.price if held.valuation else None)


def _number(number: Decimal | None) -> str:
    return "none" if number is None else format_number(round(number, 8))


def _duration(age: timedelta) -> str:
    seconds = age // timedelta(seconds=1)
    if seconds < 0:
        return f"{-seconds} s in the future"
    return f"{seconds} s ago" if seconds < 600 else f"{seconds // 60} minutes ago"
