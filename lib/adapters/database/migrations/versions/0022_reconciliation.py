"""Findings about orders, entries of the ledger beside fills, and cash flows that are trades elsewhere."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
KINDS = "'by_hand', 'by_program', 'lookalike', 'forgotten', 'left', 'not_imported', 'contradicted'"


def _account() -> sa.Column[str]:
    return sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True)


def _columns(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def upgrade() -> None:
    """Create the tables, and let a cash flow be a trade."""
    op.create_table(
        "order_findings",
        _account(),
        sa.Column("finding_id", sa.Text, primary_key=True),
        *_columns(sa.Text, "kind", "symbol", "side"),
        *_columns(sa.Numeric, "quantity", "executed"),
        sa.Column("price", sa.Numeric),
        *_columns(sa.Text, "order_id", "client_order_id", "detail"),
        *_columns(INSTANT, "first_seen_at", "last_seen_at"),
        sa.Column("ended_at", INSTANT),
        sa.CheckConstraint(f"kind IN ({KINDS})", name="order_findings_kind"),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="order_findings_side"),
        sa.CheckConstraint("quantity > 0 AND quantity < 'Infinity'", name="order_findings_quantity"),
        sa.CheckConstraint("executed >= 0 AND executed < 'Infinity'", name="order_findings_executed"),
    )
    op.create_index("order_findings_by_order", "order_findings", ["account", "symbol", "order_id"])
    op.create_index("order_findings_open", "order_findings", ["account"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table("reconciliations", _account(), *_columns(INSTANT, "began_at", "done_at"))
    op.create_table(
        "ledger_adjustments",
        _account(),
        sa.Column("adjustment_id", sa.Text, primary_key=True),
        *_columns(sa.Text, "symbol", "kind"),
        *_columns(sa.Numeric, "quantity", "value_quote", "quantity_step"),
        *_columns(INSTANT, "at", "booked_at"),
        sa.CheckConstraint("kind IN ('deposit', 'withdrawal', 'trade', 'other')", name="ledger_adjustments_kind"),
        sa.CheckConstraint(
            "quantity <> 0 AND quantity > '-Infinity' AND quantity < 'Infinity'", name="ledger_adjustments_quantity"
        ),
        sa.CheckConstraint("value_quote * quantity > 0", name="ledger_adjustments_value"),
        sa.CheckConstraint("quantity_step >= 0 AND quantity_step < 'Infinity'", name="ledger_adjustments_step"),
    )
    op.create_index("ledger_adjustments_by_time", "ledger_adjustments", ["account", "at"])
    _set_kinds("'deposit', 'withdrawal', 'trade', 'other'")


def downgrade() -> None:
    """Drop the tables; a trade becomes what it was before there was that word."""
    op.execute("UPDATE cash_flows SET kind = 'other' WHERE kind = 'trade'")
    _set_kinds("'deposit', 'withdrawal', 'other'")
    for name in ("ledger_adjustments", "reconciliations", "order_findings"):
        op.drop_table(name)


def _set_kinds(kinds: str) -> None:
    op.drop_constraint("cash_flows_kind", "cash_flows")
    op.create_check_constraint("cash_flows_kind", "cash_flows", f"kind IN ({kinds})")
