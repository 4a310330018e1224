"""What `optimize_portfolio` reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tabulate import tabulate

from lib.allocation.drift import Allocation, Drift
from lib.allocation.legs import Leg
from lib.allocation.plan import RebalancePlan
from lib.allocation.stores import LegState, StoredPlan
from lib.allocation.targets import Bucket
from lib.allocation.wording import format_points, format_share
from lib.portfolio.money import format_number
from lib.results import TaskResult
from lib.units import format_money

MOST_OTHERS = 10


@dataclass(frozen=True)
class Optimized:
    """One account.

    Attributes:
        plan: What was worked out now.
        stored: The account's open plan afterwards; None when there is none.
        unpriced: Held besides and without a price, so in no number.
    """

    plan: RebalancePlan
    stored: StoredPlan | None
    unpriced: tuple[str, ...] = ()


class OptimizationResult(TaskResult):
    """The result of `optimize_portfolio`.

    Attributes:
        accounts: The allocation and the plan of each account.
    """

    accounts: tuple[Optimized, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of each account's allocation against its target, the legs of its plan, and the skipped ones."""
        return [table for one in self.accounts for table in _render_account(one) if table]


def _render_account(one: Optimized) -> list[str]:
    plan, stored = one.plan, one.stored
    legs = [leg.leg for leg in stored.legs if leg.state is not LegState.SKIPPED] if stored else []
    skipped = [leg.leg for leg in stored.legs if leg.state is LegState.SKIPPED] if stored else plan.skipped
    title = f"{stored.name}, {stored.state}" if stored else "no plan"
    return [
        _render_allocation(plan, one.unpriced),
        _table([_leg_row(leg) for leg in legs], title, "trade", "at", "worth", "fee", "priced at", ""),
        _table([_skipped_row(leg) for leg in skipped], "not traded", "wanted", "why"),
    ]


def _render_allocation(plan: RebalancePlan, unpriced: Sequence[str]) -> str:
    allocation = plan.before
    others = [one for one in allocation.assets if one.bucket is Bucket.OTHER]
    shown = [*allocation.buckets, *(one for one in allocation.assets if one.bucket is not Bucket.OTHER)]
    after = {one.name: one for one in (*plan.after.buckets, *plan.after.assets)}
    rows = [_drift_row(one, allocation, after[one.name]) for one in [*shown, *others[:MOST_OTHERS]]]
    if rest := others[MOST_OTHERS:]:
        worth = sum((one.value for one in rest), Decimal(0))
        rows.append((f"{len(rest)} more", format_money(worth, plan.quote_asset), *[""] * 5))
    rows += [(name, "no price", *[""] * 5) for name in unpriced]
    band = f"outside ±{format_number((100 * allocation.band).normalize())}"
    return _table(rows, plan.account, "worth", "now", "target", "off by points", band, "after the plan")


def _drift_row(one: Drift, allocation: Allocation, after: Drift) -> tuple[str, ...]:
    is_bucket = one in allocation.buckets
    return (
        f"**{one.name}**" if is_bucket else one.name,
        format_money(one.value, allocation.quote_asset),
        format_share(one.ratio),
        format_share(one.target),
        format_points(one.off),
        "yes" if allocation.is_off(one) else "",
        format_share(after.ratio),
    )


def _leg_row(leg: Leg) -> tuple[str, ...]:
    quote = leg.symbol.partition("/")[2]
    return (
        str(leg.number),
        f"{leg.side} {format_number(leg.quantity)} {leg.base}",
        format_number(leg.price) if leg.price is not None else "",
        format_money(leg.notional, quote),
        format_money(leg.fee_quote, quote),
        f"{leg.priced_at:%Y-%m-%d %H:%M:%S} UTC" if leg.priced_at is not None else "",
        leg.detail,
    )


def _skipped_row(leg: Leg) -> tuple[str, ...]:
    return leg.base, f"{leg.side} for {format_money(leg.wanted_quote, leg.symbol.partition('/')[2])}", leg.detail


def _table(rows: Sequence[tuple[str, ...]], *headers: str) -> str:
    return tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) if rows else ""
