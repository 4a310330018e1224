"""Of which holding an exit is, and the run of the exit that it replaced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# An exit that is open is of the position that is; of which one an ended exit was is not known any more.
OF_OPEN_POSITIONS = """
    UPDATE position_exits AS wanted SET opened_by = held.opened_by
    FROM positions AS held
    WHERE held.account = wanted.account AND held.symbol = wanted.symbol AND held.closed_at IS NULL
        AND wanted.state IN ('wanted', 'started')
"""


def upgrade() -> None:
    """Add the columns."""
    op.add_column("position_exits", sa.Column("opened_by", sa.Text, nullable=False, server_default=""))
    op.add_column("position_exits", sa.Column("after_run", sa.Text))
    op.execute(OF_OPEN_POSITIONS)
    op.alter_column("position_exits", "opened_by", server_default=None)


def downgrade() -> None:
    """Remove the columns."""
    op.drop_column("position_exits", "after_run")
    op.drop_column("position_exits", "opened_by")
