"""What people are told about breaks: the numbers, what it looks like, and what to do next."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from lib.balances.breaks import Break, Difference
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.units import format_money


def write_break_opened(one: Break, quote_asset: str, *, at: datetime) -> Message:
    """Return the warning that a holding is not what the ledger expects."""
    account, asset = one.account, one.asset
    body = (
        f"{describe_difference(one.difference, quote_asset)}. Seen since {one.first_seen_at:%Y-%m-%d %H:%M} UTC.\n"
        f"A guess: {one.why}. It is in no profit or loss until someone says what it is.\n"
        f"What to do: look at the history of {asset} on the exchange. If you know what it was, run classify-break for "
        f"account {account} and asset {asset} as deposit, withdrawal, trade (a conversion, or in a market that is not "
        "watched) or other (profit or loss); its position follows. If nobody knows it, run `fks halt`, disable the API "
        "key and change the password there."
    )
    headline = f"Break: {asset} is not what the ledger expects ({account})"
    return compose(MessageType.OPERATIONS, Severity.WARNING, headline, body, key=_key("open", one), at=at)


def write_break_resolved(one: Break, quote_asset: str, *, at: datetime) -> Message:
    """Return the message that a break is gone by itself."""
    body = (
        f"The holding of {one.asset} in account {one.account} is what the ledger expects again. Before: "
        f"{describe_difference(one.difference, quote_asset)}, from {one.first_seen_at:%Y-%m-%d %H:%M} UTC on.\n"
        "What to do: nothing; the fill or cash flow that explains it has come in, or the holding has come back."
    )
    headline = f"Break resolved: {one.asset} ({one.account})"
    key = _key("resolved", one)
    return compose(MessageType.OPERATIONS, Severity.INFO, headline, body, key=key, at=at, is_over=True)


def describe_difference(difference: Difference, quote_asset: str) -> str:
    """Render ``the exchange holds 1.5 SOL, the ledger expects 2: 0.5 less, worth 50.00 USDT``."""
    direction = "more" if difference.amount > 0 else "less"
    value = difference.value_quote
    worth = "of unknown value" if value is None else f"worth {format_money(abs(value), quote_asset)}"
    return (
        f"The exchange holds {_number(difference.actual)} {difference.asset}, the ledger expects "
        f"{_number(difference.expected)}: {_number(abs(difference.amount))} {direction}, {worth}"
    )


def _key(step: str, one: Break) -> str:
    return f"break:{step}:{one.account}:{one.asset}:{one.first_seen_at:%Y-%m-%dT%H:%M:%S}"


def _number(number: Decimal) -> str:
    return format_number(round(number, 8))
