"""When a flow run began to trade its plan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("rebalance_runs", sa.Column("traded_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("rebalance_runs", "traded_at")
