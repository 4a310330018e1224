"""Whether a plan fits into what an operator allows: its age, moved prices, and the amounts of an order and of a day.

A plan that is larger than the day's limit would sell and then be refused its buys, so amounts are compared before it is
begun, at the worst prices that its orders may get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from lib.allocation.legs import Leg
from lib.portfolio.fills import Side
from lib.units import format_money

ZERO, HUNDRED = Decimal(0), Decimal(100)


@dataclass(frozen=True)
class PlanLimits:
    """What a plan must keep to.

    Attributes:
        max_age: Since its prices were confirmed.
        max_move_pct: Of a price, either way.
        max_slippage_pct: Of a price, to our disadvantage; an approval may say another.
        smallest_leg: Of equity; holdings that differ by less are the same.
        max_order_notional: Quote, of one order; None allows any.
        max_day_notional: Quote, of an account's orders of a UTC day, both sides; None allows any.
    """

    max_age: timedelta
    max_move_pct: Decimal
    max_slippage_pct: Decimal
    smallest_leg: Decimal
    max_order_notional: Decimal | None = None
    max_day_notional: Decimal | None = None


def find_excess(
    trades: Sequence[Leg], used: Decimal, limits: PlanLimits, slippage_pct: Decimal | None = None
) -> str | None:
    """Return why the trades are too large, with settings, numbers and remedy; None when they fit.

    An order counts at its bound, as the check before it is sent counts it, a sell's at its reference price; in the
    day's sum a sell may fill at the highest price at which it is still sent.

    Args:
        trades: All that is still to be traded, in one quote asset.
        used: Quote; what the account's other orders of the day come to.
        limits: The operator's.
        slippage_pct: Of the approval; None: the operator's.

    Example: with 8,000 a day, selling 6,000 of BTC to buy 5,970 of SOL and ETH is refused as a whole.
    """
    slippage = limits.max_slippage_pct if slippage_pct is None else slippage_pct
    dearer = {Side.BUY: 1 + slippage / HUNDRED, Side.SELL: Decimal(1)}
    largest = max(trades, key=lambda leg: leg.notional * dearer[leg.side], default=None)
    if largest is None:
        return None
    quote = largest.symbol.partition("/")[2]
    worth, most = largest.notional * dearer[largest.side], limits.max_order_notional
    if most is not None and worth > most:
        return (
            f"to {largest.side} {largest.base} comes to up to {format_money(worth, quote)}, and FKS_MAX_ORDER_NOTIONAL "
            f"allows {format_money(most, quote)} an order. Raise it, or trade towards the targets by hand, in steps."
        )
    dearer[Side.SELL] += limits.max_move_pct / HUNDRED
    turnover, most = sum((leg.notional * dearer[leg.side] for leg in trades), ZERO), limits.max_day_notional
    if most is None or used + turnover <= most:
        return None
    remedy = "Raise it, or wait for 00:00 UTC." if turnover <= most else "Raise it: no day has room for this plan."
    return (
        f"its trades come to up to {format_money(turnover, quote)}, today's other orders to "
        f"{format_money(used, quote)}, and FKS_MAX_DAY_NOTIONAL allows {format_money(most, quote)} a day. {remedy}"
    )
