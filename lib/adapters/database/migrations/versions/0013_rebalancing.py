"""Tables of rebalance plans, their legs and approvals."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
TEXTS = sa.ARRAY(sa.Text)


def _required(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def upgrade() -> None:
    """Create the tables."""
    _create_plans()
    _create_legs()
    op.create_table(
        "approvals",
        sa.Column("plan_id", sa.BigInteger, sa.ForeignKey("rebalance_plans.plan_id"), primary_key=True),
        *_required(sa.Text, "decision", "who"),
        *_required(INSTANT, "at"),
        *_required(sa.Text, "note"),
        *_required(TEXTS, "excluded"),
        sa.Column("max_slippage_pct", sa.Numeric),
        sa.CheckConstraint("decision IN ('approved', 'rejected')", name="approvals_decision"),
        sa.CheckConstraint("who <> ''", name="approvals_who"),
        sa.CheckConstraint("max_slippage_pct >= 0 AND max_slippage_pct < 100", name="approvals_slippage"),
    )


def _create_plans() -> None:
    op.create_table(
        "rebalance_plans",
        sa.Column("plan_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), nullable=False),
        *_required(sa.Text, "quote_asset"),
        *_required(INSTANT, "created_at", "priced_at"),
        *_required(sa.Text, "state"),
        *_required(INSTANT, "changed_at"),
        *_required(sa.Text, "note", "plan_hash"),
        *_required(sa.Numeric, "equity", "reserve_quote"),
        *_required(sa.Text, "code_version"),
        *_required(TEXTS, "reasons"),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected', 'running', 'done', 'failed', 'expired')",
            name="rebalance_plans_state",
        ),
        sa.CheckConstraint("plan_hash ~ '^[0-9a-f]{64}$'", name="rebalance_plans_hash"),
        sa.CheckConstraint("equity > 0 AND equity < 'Infinity'", name="rebalance_plans_equity"),
        sa.CheckConstraint("reserve_quote >= 0 AND reserve_quote < 'Infinity'", name="rebalance_plans_reserve"),
    )
    op.create_index(
        "rebalance_plans_one_open",
        "rebalance_plans",
        ["account"],
        unique=True,
        postgresql_where=sa.text("state IN ('proposed', 'approved', 'running')"),
    )
    op.create_index("rebalance_plans_by_time", "rebalance_plans", ["account", "created_at"])


def _create_legs() -> None:
    op.create_table(
        "rebalance_legs",
        sa.Column("plan_id", sa.BigInteger, sa.ForeignKey("rebalance_plans.plan_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        *_required(sa.Text, "symbol", "side"),
        *_required(sa.Numeric, "wanted_quote", "quantity"),
        sa.Column("reference_price", sa.Numeric),
        sa.Column("priced_at", INSTANT),
        *_required(sa.Numeric, "notional", "fee_quote"),
        *_required(sa.Text, "state"),
        sa.Column("skipped", sa.Text),
        *_required(sa.Text, "reason"),
        sa.CheckConstraint(
            "state IN ('planned', 'skipped', 'excluded', 'done', 'failed')", name="rebalance_legs_state"
        ),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="rebalance_legs_side"),
        sa.CheckConstraint("number >= 1", name="rebalance_legs_number"),
        sa.CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="rebalance_legs_quantity"),
        sa.CheckConstraint("reference_price > 0 AND reference_price < 'Infinity'", name="rebalance_legs_price"),
        sa.CheckConstraint("(reference_price IS NULL) = (priced_at IS NULL)", name="rebalance_legs_price_has_its_time"),
        sa.CheckConstraint("(skipped IS NOT NULL) = (state = 'skipped')", name="rebalance_legs_skipped"),
        sa.CheckConstraint(
            "skipped IS NOT NULL OR (quantity > 0 AND reference_price IS NOT NULL)", name="rebalance_legs_trade"
        ),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("approvals")
    op.drop_table("rebalance_legs")
    op.drop_table("rebalance_plans")
