"""Of which holding a ticket sells."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of older tickets it is not known."""
    op.add_column("order_tickets", sa.Column("opened_by", sa.Text))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("order_tickets", "opened_by")
