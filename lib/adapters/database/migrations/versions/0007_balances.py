"""Tables of balance history, cash flows and breaks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
SNAPSHOT_AMOUNTS = (
    "cash_free",
    "cash_locked",
    "positions_value",
    "other_value",
    "equity",
    "unexplained_value",
    "unrealized_pnl",
    "realized_pnl",
    "day_flows",
)


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _of_account(*names: str) -> list[sa.Column[str]]:
    return [sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True), *_key(*names)]


def _needed(kind: sa.types.TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def upgrade() -> None:
    """Create the tables."""
    _create_snapshots()
    _create_cash_flows()
    _create_breaks()


def _create_snapshots() -> None:
    op.create_table(
        "asset_prices",
        *_key("asset", "quote_asset"),
        *_needed(sa.Numeric(), "price"),
        *_needed(sa.Text(), "priced_by"),
        *_needed(INSTANT, "price_at"),
        sa.CheckConstraint("price > 0 AND price < 'Infinity'", name="asset_prices_price"),
    )
    op.create_table(
        "balance_history",
        *_of_account(),
        sa.Column("at", INSTANT, primary_key=True),
        *_needed(sa.Numeric(), *SNAPSHOT_AMOUNTS),
        sa.Column("day_pnl", sa.Numeric),
        *_needed(sa.ARRAY(sa.Text()), "unpriced"),
        sa.CheckConstraint("cash_free >= 0 AND cash_locked >= 0", name="balance_history_cash"),
        sa.CheckConstraint("positions_value >= 0 AND other_value >= 0", name="balance_history_values"),
        sa.CheckConstraint("equity >= 0 AND equity < 'Infinity'", name="balance_history_equity"),
    )


def _create_cash_flows() -> None:
    op.create_table(
        "cash_flows",
        *_of_account("flow_id"),
        *_needed(sa.Text(), "kind", "source", "asset"),
        *_needed(sa.Numeric(), "amount"),
        *_needed(INSTANT, "at"),
        *_needed(sa.Boolean(), "is_booked"),
        sa.Column("value_quote", sa.Numeric),
        *_needed(sa.Text(), "priced_by"),
        sa.Column("counted_at", INSTANT),
        *_needed(sa.Text(), "note"),
        *_needed(INSTANT, "recorded_at"),
        sa.CheckConstraint("kind IN ('deposit', 'withdrawal', 'other')", name="cash_flows_kind"),
        sa.CheckConstraint("source IN ('exchange', 'operator')", name="cash_flows_source"),
        sa.CheckConstraint("amount <> 0 AND amount > '-Infinity' AND amount < 'Infinity'", name="cash_flows_amount"),
        sa.CheckConstraint("counted_at IS NULL OR (is_booked AND value_quote IS NOT NULL)", name="cash_flows_counted"),
    )
    op.create_index("cash_flows_by_time", "cash_flows", ["account", "at"])
    op.create_index("cash_flows_by_counting", "cash_flows", ["account", "counted_at"])
    op.create_table("cash_flow_imports", *_of_account(), *_needed(INSTANT, "asked_at"))


def _create_breaks() -> None:
    op.create_table(
        "opening_balances",
        *_of_account("asset"),
        *_needed(sa.Numeric(), "quantity"),
        *_needed(INSTANT, "at"),
        sa.CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="opening_balances_quantity"),
    )
    op.create_table(
        "breaks",
        *_of_account("asset"),
        sa.Column("first_seen_at", INSTANT, primary_key=True),
        *_needed(INSTANT, "last_seen_at"),
        *[sa.Column(name, INSTANT) for name in ("opened_at", "closed_at")],
        *_needed(sa.Text(), "state"),
        *_needed(sa.Numeric(), "expected", "actual", "difference"),
        sa.Column("value_quote", sa.Numeric),
        *_needed(sa.Text(), "why"),
        sa.CheckConstraint("state IN ('suspected', 'open', 'resolved', 'accepted')", name="breaks_state"),
        sa.CheckConstraint("state IN ('suspected', 'accepted') OR opened_at IS NOT NULL", name="breaks_opened"),
        sa.CheckConstraint("(state IN ('resolved', 'accepted')) = (closed_at IS NOT NULL)", name="breaks_closed"),
        sa.CheckConstraint("difference = actual - expected", name="breaks_difference"),
    )
    op.create_index(
        "breaks_one_per_asset",
        "breaks",
        ["account", "asset"],
        unique=True,
        postgresql_where=sa.text("state IN ('suspected', 'open')"),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("breaks", "opening_balances", "cash_flow_imports", "cash_flows", "balance_history", "asset_prices"):
        op.drop_table(table)
