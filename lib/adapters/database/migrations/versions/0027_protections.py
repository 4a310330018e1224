"""Protective orders that rest on the exchange, and the kind of order that a take profit is there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
KINDS = "order_intents_kind"


def upgrade() -> None:
    """Create the table, and allow the kind."""
    op.drop_constraint(KINDS, "order_intents")
    op.create_check_constraint(KINDS, "order_intents", "kind IN ('market', 'limit', 'stop_loss_limit', 'limit_maker')")
    op.create_table(
        "order_protections",
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        sa.Column("protection_id", sa.Text, primary_key=True),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("symbol", "opened_by")],
        *[sa.Column(name, sa.Numeric, nullable=False) for name in ("quantity", "stop_loss")],
        sa.Column("take_profit", sa.Numeric),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("note", "refusal")],
        *[sa.Column(name, INSTANT, nullable=False) for name in ("created_at", "looked_at")],
        sa.Column("released_at", INSTANT),
        sa.Column("release_why", sa.Text, nullable=False),
        sa.Column("settled_at", INSTANT),
        *[
            sa.CheckConstraint(f"{name} > 0 AND {name} < 'Infinity'", name=f"order_protections_{name}")
            for name in ("quantity", "stop_loss")
        ],
        sa.CheckConstraint(
            "take_profit > stop_loss AND take_profit < 'Infinity'", name="order_protections_take_profit"
        ),
        sa.CheckConstraint("released_at IS NOT NULL OR release_why = ''", name="order_protections_released"),
    )
    op.create_index(
        "order_protections_unsettled", "order_protections", ["account"], postgresql_where=sa.text("settled_at IS NULL")
    )
    op.create_index("order_protections_by_position", "order_protections", ["account", "symbol", "opened_by"])


def downgrade() -> None:
    """Remove the table; take profits of old become plain limits."""
    op.drop_table("order_protections")
    op.drop_constraint(KINDS, "order_intents")
    op.execute("UPDATE order_intents SET kind = 'limit' WHERE kind = 'limit_maker'")
    op.create_check_constraint(KINDS, "order_intents", "kind IN ('market', 'limit', 'stop_loss_limit')")
