"""The newest record of the platform's health."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "health_record",
        sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("record", postgresql.JSONB, nullable=False),
        sa.CheckConstraint("number = 1", name="health_record_is_one"),
    )


def downgrade() -> None:
    """Remove it; the next run of platform-health knows nothing of what was told."""
    op.drop_table("health_record")
