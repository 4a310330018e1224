"""What people are told of a rebalance plan: that it waits for their decision, how it ended, and why it was refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from lib.allocation.drift import Allocation
from lib.allocation.stores import LegState, StoredPlan
from lib.allocation.wording import describe_trade, format_share
from lib.execution.rebalance_report import ExecutedLeg, Rebalanced
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.results import render_count
from lib.units import format_money

SHOWN = 12


def write_question(plan: StoredPlan, run: str, answer_by: datetime, now: datetime) -> Message:
    """Return the message that a plan waits for a decision; its link leads to the form."""
    lines = [
        f"{plan.name} of {plan.account}: {render_count(len(plan.to_trade), 'trades')}, equity "
        f"{format_money(plan.equity, plan.quote_asset)}.",
        *_list_first([describe_trade(leg) for leg in plan.to_trade]),
        f"What to do: open the run of rebalance-portfolio and press Resume: its form asks for your decision, until "
        f"{answer_by:%Y-%m-%d %H:%M} UTC. Nothing is sent before; no answer until then is a rejection.",
    ]
    headline = f"Approval wanted: {plan.name} ({plan.account})"
    return _compose(Severity.WARNING, headline, lines, f"ask:{plan.account}:{plan.plan_id}:{run}", now)


def write_ended(plan: StoredPlan, how: str, why: str, now: datetime) -> Message:
    """Return the message that a plan ended without a trade: rejected, unanswered, outdated.

    Args:
        plan: Which.
        how: In a word or two: "rejected by Ada".
        why: In full.
        now: UTC.
    """
    lines = [why, "Nothing was traded.", "What to do: run rebalance-portfolio with execute off for a new plan."]
    headline = f"Rebalancing {how} ({plan.account})"
    return _compose(Severity.WARNING, headline, [f"{plan.name}:", *lines], f"end:{plan.account}:{plan.plan_id}", now)


def write_refused(account: str, why: str, run: str, now: datetime) -> Message:
    """Return the message that a run was refused; a plan that it was about stays as it is."""
    lines = [why, "This run traded nothing.", "What to do: mend what is named above, then start the run again."]
    return _compose(Severity.WARNING, f"Rebalancing refused ({account})", lines, f"refused:{account}:{run}", now)


def write_rebalanced(done: Rebalanced, now: datetime) -> Message:
    """Return the message of a plan that was run: fills, fees, and the allocation before and after."""
    plan = done.plan
    traded = sum(one.stored.state is LegState.DONE for one in done.legs)
    failed = [one for one in done.legs if one.stored.state is LegState.FAILED]
    lines = [
        _describe_approval(plan),
        *_list_first([_describe_leg(one) for one in done.legs if one.stored.state is not LegState.SKIPPED]),
        f"Fees: {_describe_fees(done.legs)}.",
        *_describe_allocation(done.before, done.after),
    ]
    todo = "run rebalance-portfolio with execute off for a plan of what is left." if failed else "nothing; it is done."
    lines.append(f"What to do: {todo}")
    how = "Rebalanced" if not failed else "Rebalanced in part" if traded else "Rebalancing failed"
    headline = f"{how}: {traded} of {render_count(traded + len(failed), 'trades')} ({plan.account})"
    severity = Severity.WARNING if failed else Severity.INFO
    return _compose(severity, headline, lines, f"end:{plan.account}:{plan.plan_id}", now)


def _compose(severity: Severity, headline: str, lines: Sequence[str], key: str, now: datetime) -> Message:
    return compose(MessageType.REBALANCE, severity, headline, "\n".join(lines), key=key, at=now)


def _describe_approval(plan: StoredPlan) -> str:
    approval = plan.approval
    if approval is None:
        return f"{plan.name}:"
    note = f' "{approval.note}"' if approval.note else ""
    return f"{plan.name}, approved by {approval.who} at {approval.at:%Y-%m-%d %H:%M} UTC{note}:"


def _describe_leg(one: ExecutedLeg) -> str:
    leg, price, slippage = one.stored.leg, one.price, one.slippage_bps
    executed, planned = format_number(one.executed_quantity), format_number(leg.quantity)
    words = f"{leg.number}. {leg.side} {executed} of {planned} {leg.base}"
    if price is not None and slippage is not None:
        words += f" at {format_number(round(price, 8))} ({slippage:+.1f} bps)"
    return f"{words}: {one.stored.state}. {one.stored.reason}".strip().rstrip(".")


def _describe_fees(legs: Sequence[ExecutedLeg]) -> str:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for one in legs:
        for asset, fee in one.fees.items():
            sums[asset] += fee
    return ", ".join(f"{format_number(fee)} {asset}" for asset, fee in sorted(sums.items())) or "none"


def _describe_allocation(before: Allocation | None, after: Allocation | None) -> list[str]:
    if before is None or after is None:
        return ["The allocation afterwards is not known: balances or prices were not told."]
    shares = {one.name: one.ratio for one in before.buckets}
    changes = [
        f"{one.name} {format_share(shares[one.name])} -> {format_share(one.ratio)} (target {format_share(one.target)})"
        for one in after.buckets
        if shares[one.name] or one.ratio
    ]
    off = ", ".join(one.name for one in after.off)
    return [f"Allocation: {', '.join(changes)}.", *([f"Still outside the band: {off}."] if off else [])]


def _list_first(lines: list[str]) -> list[str]:
    return lines[:SHOWN] + ([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
