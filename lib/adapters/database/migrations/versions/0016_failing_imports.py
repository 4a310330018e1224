"""Since when the fills of a symbol cannot be imported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what fails already does so from its next failure on."""
    op.add_column("fill_imports", sa.Column("failing_since", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("fill_imports", "failing_since")
