"""Since when a news feed fails; one that fails already does so since its last good answer, as far as is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("news_feeds", sa.Column("failing_since", sa.DateTime(timezone=True)))
    op.execute("UPDATE news_feeds SET failing_since = coalesce(last_ok_at, checked_at) WHERE error IS NOT NULL")
    op.create_check_constraint("news_feeds_failing_since", "news_feeds", "(error IS NULL) = (failing_since IS NULL)")


def downgrade() -> None:
    """Remove the column."""
    op.drop_constraint("news_feeds_failing_since", "news_feeds")
    op.drop_column("news_feeds", "failing_since")
