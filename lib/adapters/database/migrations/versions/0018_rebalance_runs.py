"""Which flow run works on which plan, what was held when a leg was planned, and which code wrote an order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table and the columns; what there is has nothing in them."""
    op.create_table(
        "rebalance_runs",
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("plan_id", sa.BigInteger, sa.ForeignKey("rebalance_plans.plan_id"), nullable=False),
        sa.Column("began_at", INSTANT, nullable=False),
        sa.Column("answer_by", INSTANT),
    )
    op.create_index("rebalance_runs_by_plan", "rebalance_runs", ["plan_id"])
    op.add_column("rebalance_legs", sa.Column("held", sa.Numeric))
    op.add_column("order_intents", sa.Column("code_version", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("order_intents", "code_version")
    op.drop_column("rebalance_legs", "held")
    op.drop_table("rebalance_runs")
