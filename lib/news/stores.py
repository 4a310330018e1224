"""What the news keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from lib.news.articles import Article
from lib.news.feeds import FeedState

DAY = timedelta(hours=24)


class NewsDesk(Protocol):
    """One transaction; no other process writes news meanwhile."""

    def load_known(self, keys: Collection[str]) -> set[str]:
        """Return which of these articles are stored."""
        ...

    def load_stories(self, since: datetime) -> Sequence[Article]:
        """Return the articles published since then that count, oldest first."""
        ...

    def add_articles(self, articles: Sequence[Article]) -> None:
        """Store articles, none of which is known; `same_as` names one stored before, or before it in the sequence."""
        ...

    def save_feeds(self, states: Collection[FeedState]) -> None:
        """Store what is on record of feeds."""
        ...


class NewsStore(Protocol):
    """Articles and feeds. Every method raises `DatabaseUnavailable` when the connection is refused or lost."""

    def load_feeds(self) -> Mapping[str, FeedState]:
        """Return what is on record of every feed, by name."""
        ...

    def open_desk(self) -> AbstractContextManager[NewsDesk]:
        """Open a transaction that is committed at the end of the block."""
        ...


class SentimentStore(Protocol):
    """How the news sound, for strategies."""

    def load_sentiment(self, symbols: Collection[str], at: datetime, window: timedelta = DAY) -> Mapping[str, float]:
        """Return the mean sentiment of the stories about each symbol's base asset, in [-1, 1].

        Point in time: only what was fetched before `at` counts, so the answer for a past instant never changes. What
        was published before `at - window` is left out, also when it was fetched later. A symbol without a scored story
        is left out: no news is not neutral news.

        Args:
            symbols: ("BTC/USDT", "SOL/USDT").
            at: UTC, as a candle's close.
            window: How far back.

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
        """
        ...
