"""The form by which a person decides on a rebalance plan, and what stands above it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, create_model
from tabulate import tabulate

from lib.allocation.stores import Approval, StoredPlan
from lib.execution.approval import ApprovalForm
from lib.portfolio.money import format_number
from lib.units import format_money


class RebalanceForm(ApprovalForm):
    """The decision on a plan.

    Attributes:
        excluded: Symbols whose trades are left out.
    """

    excluded: list[str] = Field(default_factory=list, description="Symbols to leave out; the others are traded.")

    def to_approval(self, at: datetime) -> Approval:
        """See `ApprovalForm`."""
        approval = super().to_approval(at)
        return Approval(
            approval.decision,
            approval.who,
            at,
            approval.note,
            frozenset(self.excluded),
            approval.max_slippage_pct,
        )


def make_rebalance_form(plan: StoredPlan) -> type[RebalanceForm]:
    """Return the form of a plan: it offers the plan's own symbols to leave out, and the server refuses others."""
    names: list[Any] = [leg.symbol for leg in plan.to_trade]
    symbol: Any = Annotated[str, Field(json_schema_extra={"enum": names})]
    described = RebalanceForm.model_fields["excluded"].description
    return create_model(
        "RebalanceForm",
        __base__=RebalanceForm,
        excluded=(list[symbol], Field(default_factory=list, description=described)),
    )


def describe_plan(plan: StoredPlan, answer_by: datetime, max_slippage_pct: Decimal) -> str:
    """Render the plan above its form, in Markdown."""
    quote = plan.quote_asset
    rows = [
        (
            str(leg.number),
            f"{leg.side} {format_number(leg.quantity)} {leg.base}",
            format_number(leg.price) if leg.price is not None else "",
            format_money(leg.notional, quote),
            format_money(leg.fee_quote, quote),
        )
        for leg in plan.to_trade
    ]
    table = tabulate(rows, headers=("", "trade", "at", "worth", "fee"), tablefmt="pipe", disable_numparse=True)
    reasons = "\n".join(f"* {reason}" for reason in plan.reasons)
    return "\n\n".join(
        [
            f"**{plan.name}** of **{plan.account}**, prices of {plan.priced_at:%Y-%m-%d %H:%M:%S} UTC. Equity "
            f"{format_money(plan.equity, quote)}, of it {format_money(plan.reserve_quote, quote)} stays cash.",
            f"Answer until **{answer_by:%Y-%m-%d %H:%M} UTC**: no answer is a rejection. Approved, these trades are "
            "sent at once, sells first, each at its price or "
            f"{format_number(max_slippage_pct)} % worse at most unless you say otherwise; when prices have moved too "
            "far meanwhile, nothing is sent.",
            table,
            f"What is off its target:\n\n{reasons}",
            f"Plan hash `{plan.plan_hash}`, code `{plan.code_version}`.",
        ]
    )
