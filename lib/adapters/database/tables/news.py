"""Tables of news. Every instant is UTC."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import CheckConstraint, DateTime, Double, ForeignKey, Index, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class NewsArticleRow(SQLModel, table=True):
    """One article, written once and never changed; see `lib.news.articles.Article`."""

    __tablename__ = "news_articles"
    __table_args__: ClassVar = (
        CheckConstraint("dated_by IN ('feed', 'fetch', 'clamp')", name="news_articles_dated_by"),
        CheckConstraint("published_at <= fetched_at", name="news_articles_not_ahead"),
        CheckConstraint("sentiment BETWEEN -1 AND 1", name="news_articles_sentiment"),
        CheckConstraint("title <> ''", name="news_articles_title"),
        CheckConstraint("same_as <> article_key", name="news_articles_same_as_another"),
        Index("news_articles_published_at", "published_at"),
        Index("news_articles_same_as", "same_as"),
    )

    article_key: str = Field(primary_key=True, sa_type=Text)
    url: str = Field(sa_type=Text)
    feed: str = Field(sa_type=Text)
    title: str = Field(sa_type=Text)
    summary: str = Field(sa_type=Text)
    published_at: datetime = Field(sa_type=INSTANT)
    dated_by: str = Field(sa_type=Text)
    fetched_at: datetime = Field(sa_type=INSTANT)
    assets: list[str] = Field(sa_type=ARRAY(Text))
    sentiment: float | None = Field(None, sa_type=Double)
    same_as: str | None = Field(None, sa_type=Text, sa_column_args=[ForeignKey("news_articles.article_key")])


class NewsFeedRow(SQLModel, table=True):
    """What is on record of one feed; its address is not, as it may hold a secret. See `lib.news.feeds.FeedState`."""

    __tablename__ = "news_feeds"
    __table_args__: ClassVar = (
        CheckConstraint("consecutive_failures >= 0", name="news_feeds_failures"),
        CheckConstraint("(error IS NULL) = (consecutive_failures = 0)", name="news_feeds_error"),
        CheckConstraint("(error IS NULL) = (failing_since IS NULL)", name="news_feeds_failing_since"),
    )

    name: str = Field(primary_key=True, sa_type=Text)
    url_hash: str = Field(sa_type=Text)
    etag: str | None = Field(None, sa_type=Text)
    last_modified: str | None = Field(None, sa_type=Text)
    checked_at: datetime = Field(sa_type=INSTANT)
    last_ok_at: datetime | None = Field(None, sa_type=INSTANT)
    error: str | None = Field(None, sa_type=Text)
    consecutive_failures: int = Field(0, sa_type=Integer)
    failing_since: datetime | None = Field(None, sa_type=INSTANT)
