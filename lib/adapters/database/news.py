"""News in PostgreSQL: articles, what is on record of feeds, and the mood by symbol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from lib.adapters.database.engine import database_errors
from lib.adapters.database.tables.news import NewsArticleRow, NewsFeedRow
from lib.news.articles import Article, DatedBy
from lib.news.feeds import FeedState, Validators
from lib.news.stores import DAY

ONE_WRITER = text("SELECT pg_advisory_xact_lock(hashtext('fks.news'))")  # two runs would both store one story
SENTIMENT = text("""
    SELECT asset, avg(sentiment) AS mean FROM news_articles, unnest(assets) AS asset
    WHERE published_at >= :since AND published_at < :at AND fetched_at < :at
        AND same_as IS NULL AND sentiment IS NOT NULL AND asset = ANY(:assets)
    GROUP BY asset
""")


class DatabaseNews:
    """`NewsStore` and `SentimentStore`; safe for many threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load_feeds(self) -> Mapping[str, FeedState]:
        """Return what is on record of every feed, by name."""
        with database_errors("reading what is known of feeds"), self._engine.begin() as connection:
            return {row.name: _to_state(row) for row in connection.execute(select(NewsFeedRow))}

    @contextmanager
    def open_desk(self) -> Iterator[DatabaseNewsDesk]:
        """Open the transaction of one run; another run waits for its end."""
        with database_errors("storing news"), self._engine.begin() as connection:
            connection.execute(ONE_WRITER)
            yield DatabaseNewsDesk(connection)

    def load_sentiment(self, symbols: Collection[str], at: datetime, window: timedelta = DAY) -> Mapping[str, float]:
        """Return the mean sentiment of what was known before `at`, by symbol; see `SentimentStore`."""
        bases = {symbol: symbol.partition("/")[0] for symbol in symbols}
        asked = {"since": at - window, "at": at, "assets": sorted(set(bases.values()))}
        with database_errors("reading the news' sentiment"), self._engine.begin() as connection:
            means = {row.asset: float(row.mean) for row in connection.execute(SENTIMENT, asked)}
        return {symbol: means[base] for symbol, base in bases.items() if base in means}


class DatabaseNewsDesk:
    """`NewsDesk` on an open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def load_known(self, keys: Collection[str]) -> set[str]:
        """Return which of these articles are stored."""
        key = col(NewsArticleRow.article_key)
        return set(self._connection.scalars(select(key).where(key.in_(keys))))

    def load_stories(self, since: datetime) -> Sequence[Article]:
        """Return the articles published since then that count, oldest first."""
        row = NewsArticleRow
        wanted = select(row).where(col(row.published_at) >= since).where(col(row.same_as).is_(None))
        return [_to_article(one) for one in self._connection.execute(wanted.order_by(col(row.published_at)))]

    def add_articles(self, articles: Sequence[Article]) -> None:
        """Store articles, none of which is known."""
        rows = [
            {
                "article_key": article.key,
                "url": article.url,
                "feed": article.feed,
                "title": article.title,
                "summary": article.summary,
                "published_at": article.published_at,
                "dated_by": article.dated_by.value,
                "fetched_at": article.fetched_at,
                "assets": list(article.assets),
                "sentiment": article.sentiment,
                "same_as": article.same_as,
            }
            for article in articles
        ]
        if rows:
            self._connection.execute(insert(NewsArticleRow), rows)

    def save_feeds(self, states: Collection[FeedState]) -> None:
        """Store what is on record of feeds."""
        rows = [
            {
                "name": state.name,
                "url_hash": state.url_hash,
                "etag": state.validators.etag,
                "last_modified": state.validators.last_modified,
                "checked_at": state.checked_at,
                "last_ok_at": state.last_ok_at,
                "error": state.error,
                "consecutive_failures": state.consecutive_failures,
                "failing_since": state.failing_since,
            }
            for state in states
        ]
        if rows:
            new = insert(NewsFeedRow)
            changes = {name: new.excluded[name] for name in rows[0] if name != "name"}
            self._connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=changes), rows)


def _to_article(row: Row[Any]) -> Article:
    return Article(
        key=row.article_key,
        url=row.url,
        feed=row.feed,
        title=row.title,
        summary=row.summary,
        published_at=row.published_at,
        dated_by=DatedBy(row.dated_by),
        fetched_at=row.fetched_at,
        assets=tuple(row.assets),
        sentiment=row.sentiment,
        same_as=row.same_as,
    )


def _to_state(row: Row[Any]) -> FeedState:
    return FeedState(
        name=row.name,
        url_hash=row.url_hash,
        validators=Validators(row.etag, row.last_modified),
        checked_at=row.checked_at,
        last_ok_at=row.last_ok_at,
        error=row.error,
        consecutive_failures=row.consecutive_failures,
        failing_since=row.failing_since,
    )
