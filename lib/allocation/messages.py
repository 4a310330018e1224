"""What people are told when rebalancing is recommended: what is off, the trades, and what to do next."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from lib.allocation.legs import Leg, SkipReason
from lib.allocation.plan import RebalancePlan
from lib.allocation.stores import StoredPlan
from lib.allocation.targets import Bucket
from lib.allocation.wording import describe_drift, describe_trade, format_points, format_share
from lib.notifications.messages import Attachment, Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.reporting.allocation_chart import draw_allocation
from lib.results import render_count
from lib.risk.options import RiskOptions
from lib.risk.rules import format_limit
from lib.units import format_money

SHOWN = 8
ENDS_BELOW = RiskOptions.clear_ratio  # of a limit: there a HIGH is over
logger = logging.getLogger(__name__)


def write_reasons(plan: RebalancePlan) -> tuple[str, ...]:
    """Return what is off, a line each."""
    return tuple(describe_drift(one) for one in plan.before.off)


def write_recommendation(
    plan: RebalancePlan,
    stored: StoredPlan,
    last_at: datetime,
    now: datetime,
    alarm_exposure: Decimal | None = None,
    excess: str | None = None,
) -> Message:
    """Return the message of a plan, once per plan hash; the picture is attached apart (`draw_plan`).

    Args:
        plan: What is proposed.
        stored: The same as it is kept.
        last_at: Until when it may be carried out, UTC.
        now: UTC.
        alarm_exposure: See `RebalanceRules`.
        excess: Why it is larger than the limits, so that it would be refused; None when it fits.
    """
    allocation, quote = plan.before, plan.quote_asset
    furthest = max(allocation.off, key=lambda one: abs(one.off))
    lines = [
        f"Off by more than {format_number((100 * allocation.band).normalize())} points of equity:",
        *_list_first([f"- {line}" for line in write_reasons(plan)]),
        f"Equity {format_money(allocation.equity, quote)}, of it {format_money(plan.reserve_quote, quote)} stays cash.",
        f"{render_count(len(plan.trades), 'trades')}, fees of about {format_money(plan.fees_quote, quote)}:",
        *_list_first([describe_trade(leg) for leg in plan.trades]),
        *_describe_skipped(plan),
        f"Afterwards: {_describe_after(plan)}.",
        *_describe_room(plan, alarm_exposure),
        *([f"It is larger than the limits and would be refused: {excess}"] if excess else []),
        *_describe_next(stored, last_at),
    ]
    return compose(
        MessageType.REBALANCE,
        Severity.INFO,
        f"Rebalancing recommended: {furthest.name} {format_points(furthest.off)} points ({plan.account})",
        "\n".join(lines),
        key=f"{plan.account}:{plan.plan_hash}",
        at=now,
    )


def draw_plan(plan: RebalancePlan) -> Attachment | None:
    """Return the picture of current against target; None when it cannot be drawn, for which no message waits."""
    try:
        content = draw_allocation(plan.before, f"Allocation of {plan.account}")
        return Attachment("allocation.png", "image/png", content)
    except Exception as error:  # counted: the message says that it has no picture
        logger.warning("The allocation of %s could not be drawn", plan.account, exc_info=error)
        return None


def attach(message: Message, picture: Attachment | None) -> Message:
    """Return the message with its picture, or saying that there is none."""
    if picture is None:
        return replace(message, body=f"{message.body}\n(The picture could not be drawn.)")
    return replace(message, attachments=(picture,))


def _describe_skipped(plan: RebalancePlan) -> list[str]:
    """What is merely too small is counted, the rest is named with its reason."""
    small = [leg for leg in plan.skipped if leg.skipped is SkipReason.TOO_SMALL]
    named = _list_first([f"- {_describe_leg(leg)}" for leg in plan.skipped if leg not in small])
    lines = ["Not traded:", *named] if named else []
    if small:
        lines.append(f"Not worth a trade: {', '.join(leg.base for leg in small)}.")
    return lines


def _describe_leg(leg: Leg) -> str:
    quote = leg.symbol.partition("/")[2]
    return f"{leg.side} {leg.base} for {format_money(leg.wanted_quote, quote)}: {leg.detail}"


def _describe_after(plan: RebalancePlan) -> str:
    shown = [one for one in plan.after.buckets if one.bucket is not Bucket.OTHER or one.value]
    return ", ".join(f"{one.name} {format_share(one.ratio)}" for one in shown)


def _describe_room(plan: RebalancePlan, alarm_exposure: Decimal | None) -> list[str]:
    """Say so when the exposure afterwards is so near to its limit that risk stays or soon becomes HIGH."""
    invested = 1 - plan.after.buckets[-1].ratio
    if alarm_exposure is None or invested <= alarm_exposure * ENDS_BELOW:
        return []
    limit, end = (format_limit(ratio) for ratio in (alarm_exposure, alarm_exposure * ENDS_BELOW))
    enough = (100 * (1 - alarm_exposure * ENDS_BELOW)).to_integral_value(ROUND_CEILING) + 1
    return [
        f"Exposure is then {format_share(invested)}: risk becomes HIGH above {limit}, so a small rise is enough, and a "
        f"HIGH ends only below {end}. FKS_CASH_RESERVE_PCT={enough} leaves room."
    ]


def _describe_next(stored: StoredPlan, last_at: datetime) -> list[str]:
    return [
        f"What to do: review {stored.name}, then run rebalance-portfolio with account {stored.account}, plan "
        f"{stored.plan_id} and execute on. Nothing is traded before; prices are of "
        f"{stored.priced_at:%Y-%m-%d %H:%M} UTC.",
        f"This can be begun until {last_at:%Y-%m-%d %H:%M} UTC. Later, run rebalance-portfolio with execute off first: "
        "it makes a plan of then.",
    ]


def _list_first(lines: list[str]) -> list[str]:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more
