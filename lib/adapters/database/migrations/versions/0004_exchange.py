"""Tables of the exchange edge: the shared request budget."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "exchange_budget",
        sa.Column("exchange", sa.Text, primary_key=True),
        sa.Column("window_started_at", INSTANT, nullable=False),
        sa.Column("used_weight", sa.Integer, nullable=False),
        sa.Column("paused_until", INSTANT),
        sa.Column("banned", sa.Boolean, nullable=False),
        sa.Column("refusals", sa.Integer, nullable=False),
        sa.CheckConstraint("used_weight >= 0", name="exchange_budget_weights"),
        sa.CheckConstraint("refusals >= 0", name="exchange_budget_refusals"),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("exchange_budget")
