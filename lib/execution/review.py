"""Whether a rebalance plan is still what it was (age, prices, what the account holds), and within the limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from lib.allocation.legs import Leg
from lib.allocation.limits import PlanLimits, find_excess
from lib.allocation.stores import StoredPlan
from lib.errors import OperatorError, PlanOutdated
from lib.portfolio.fills import Balance, Side
from lib.portfolio.money import format_number
from lib.portfolio.quotes import Quotes

ZERO, HUNDRED = Decimal(0), Decimal(100)


def check_plan(
    plan: StoredPlan, balances: Mapping[str, Balance], quotes: Quotes, now: datetime, limits: PlanLimits, used: Decimal
) -> None:
    """Refuse a plan of which nothing has been sent and that is no longer what it was, or larger than is allowed.

    Args:
        plan: With legs that are still to be traded.
        balances: What the account holds now.
        quotes: Prices now.
        now: UTC.
        limits: The operator's.
        used: Quote; what the account's orders of the UTC day come to.

    Raises:
        PlanOutdated: It is too old, a price moved too far, or the account holds something else.
        OperatorError: Its legs are not those that its hash names; or an order of it, or all of them together, are
            larger than the limits, and it stays open.
        FksError: There are no prices now.
    """
    if not plan.is_intact:
        raise OperatorError(f"The legs of {plan.name} are not those that its hash names. Reject it and plan anew.")
    if quotes.error is not None:
        raise quotes.error
    if now - plan.priced_at > limits.max_age:
        raise PlanOutdated(
            f"The prices of {plan.name} are of {plan.priced_at:%Y-%m-%d %H:%M} UTC, at most "
            f"{limits.max_age.total_seconds() / 60:.0f} minutes are allowed (FKS_PLAN_MAX_AGE_MINUTES). Plan anew."
        )
    problems = [
        problem
        for leg in plan.to_trade
        for problem in (_find_move(plan, leg, quotes, limits), _find_change(plan, leg, balances, limits))
        if problem
    ]
    if problems:
        raise PlanOutdated(f"{plan.name} is not what it was: {'; '.join(problems)}. Plan anew.")
    slippage_pct = plan.approval.max_slippage_pct if plan.approval else None
    if excess := find_excess(plan.to_trade, used, limits, slippage_pct):
        raise OperatorError(f"{plan.name} is larger than the limits, so nothing of it is sent: {excess}")


def _find_move(plan: StoredPlan, leg: Leg, quotes: Quotes, limits: PlanLimits) -> str | None:
    price = quotes.find(leg.symbol)
    if price is None or leg.price is None:
        return f"the exchange gives no price of {leg.symbol}"
    rise_pct = (price / leg.price - 1) * HUNDRED
    worse_pct = rise_pct if leg.side is Side.BUY else -rise_pct
    approved = plan.approval.max_slippage_pct if plan.approval else None
    slippage = limits.max_slippage_pct if approved is None else approved
    if abs(rise_pct) <= limits.max_move_pct and worse_pct <= slippage:
        return None
    allowed = min(slippage, limits.max_move_pct) if worse_pct > 0 else limits.max_move_pct
    return (
        f"{leg.symbol} moved from {format_number(leg.price)} to {format_number(price)} ({rise_pct:+.2f} %, allowed "
        f"{format_number(allowed)} %)"
    )


def _find_change(plan: StoredPlan, leg: Leg, balances: Mapping[str, Balance], limits: PlanLimits) -> str | None:
    """Holdings of plans of old are not known; their age refuses those."""
    if leg.held is None or leg.price is None:
        return None
    balance = balances.get(leg.base)
    held = balance.free + balance.locked if balance else ZERO
    if abs(held - leg.held) * leg.price < plan.equity * limits.smallest_leg:
        return None
    return f"the account held {format_number(leg.held)} {leg.base} and holds {format_number(held)}"
