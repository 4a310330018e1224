"""Tables of news."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "news_articles",
        sa.Column("article_key", sa.Text, primary_key=True),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("url", "feed", "title", "summary")],
        sa.Column("published_at", INSTANT, nullable=False),
        sa.Column("dated_by", sa.Text, nullable=False),
        sa.Column("fetched_at", INSTANT, nullable=False),
        sa.Column("assets", ARRAY(sa.Text), nullable=False),
        sa.Column("sentiment", sa.Double),
        sa.Column("same_as", sa.Text, sa.ForeignKey("news_articles.article_key")),
        sa.CheckConstraint("dated_by IN ('feed', 'fetch', 'clamp')", name="news_articles_dated_by"),
        sa.CheckConstraint("published_at <= fetched_at", name="news_articles_not_ahead"),
        sa.CheckConstraint("sentiment BETWEEN -1 AND 1", name="news_articles_sentiment"),
        sa.CheckConstraint("title <> ''", name="news_articles_title"),
        sa.CheckConstraint("same_as <> article_key", name="news_articles_same_as_another"),
    )
    op.create_index("news_articles_published_at", "news_articles", ["published_at"])
    op.create_index("news_articles_same_as", "news_articles", ["same_as"])
    op.create_table(
        "news_feeds",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("url_hash", sa.Text, nullable=False),
        *[sa.Column(name, sa.Text) for name in ("etag", "last_modified")],
        sa.Column("checked_at", INSTANT, nullable=False),
        sa.Column("last_ok_at", INSTANT),
        sa.Column("error", sa.Text),
        sa.Column("consecutive_failures", sa.Integer, nullable=False),
        sa.CheckConstraint("consecutive_failures >= 0", name="news_feeds_failures"),
        sa.CheckConstraint("(error IS NULL) = (consecutive_failures = 0)", name="news_feeds_error"),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("news_feeds")
    op.drop_table("news_articles")
