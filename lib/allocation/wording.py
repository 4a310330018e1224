"""The words of allocations and plans, shared by messages and reports."""

from __future__ import annotations

from decimal import Decimal

from lib.allocation.drift import Drift
from lib.allocation.legs import Leg
from lib.portfolio.money import format_number
from lib.units import format_money


def format_share(ratio: Decimal) -> str:
    """Render a ratio of equity: ``13.33 %``."""
    return f"{100 * ratio:.2f} %"


def format_points(ratio: Decimal) -> str:
    """Render a difference of two shares: ``+21.70``."""
    return f"{100 * ratio:+.2f}"


def describe_drift(one: Drift) -> str:
    """Return ``mains 60.40 % instead of 38.70 % (+21.70)``."""
    return f"{one.name} {format_share(one.ratio)} instead of {format_share(one.target)} ({format_points(one.off)})"


def describe_trade(leg: Leg) -> str:
    """Return ``1. sell 0.08 BTC for 4,000.00 USDT (at 50,000)``; `leg` is one that is traded."""
    quote = leg.symbol.partition("/")[2]
    price = format_number(leg.price) if leg.price is not None else "no price"
    amount = format_number(leg.quantity)
    return f"{leg.number}. {leg.side} {amount} {leg.base} for {format_money(leg.notional, quote)} (at {price})"
