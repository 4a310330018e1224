"""An article as it is stored: once, and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lib.news.addresses import to_article_key, to_canonical_url
from lib.news.feeds import FeedEntry
from lib.news.sentiment import calc_sentiment
from lib.news.tagging import AssetTagger
from lib.news.wording import to_plain_text

LONGEST_TITLE, LONGEST_SUMMARY = 300, 600


class DatedBy(StrEnum):
    """Where an article's time of publication comes from."""

    FEED = "feed"
    FETCH = "fetch"  # the feed told none, or none that can be read
    CLAMP = "clamp"  # the feed told one that had not come yet


@dataclass(frozen=True)
class Article:
    """One article.

    Attributes:
        key: What is the same for one article whatever its links look like (`to_article_key`).
        url: Where it is read, canonical.
        feed: The operator's name of the feed that told it first.
        title: Plain text, never empty.
        summary: Plain text.
        published_at: UTC, never after `fetched_at`.
        dated_by: Where `published_at` comes from.
        fetched_at: When it was first known here, UTC. What was decided before that cannot have used it.
        assets: What it speaks of: ("BTC", "ETH").
        sentiment: In [-1, 1]; see `lib.news.sentiment`.
        same_as: The key of the article that told this story first; None for the one that counts.
    """

    key: str
    url: str
    feed: str
    title: str
    summary: str
    published_at: datetime
    dated_by: DatedBy
    fetched_at: datetime
    assets: tuple[str, ...]
    sentiment: float | None
    same_as: str | None = None


def make_article(entry: FeedEntry, feed: str, fetched_at: datetime, tagger: AssetTagger) -> Article | None:
    """Return the article of an entry; None without a title or a web address, by which it would be known.

    An entry's own id is not used: feeds leave it out, and change it. A headline that is only in the summary counts.
    """
    url = to_canonical_url(entry.link)
    summary = to_plain_text(entry.summary, LONGEST_SUMMARY)
    title = to_plain_text(entry.title, LONGEST_TITLE) or summary[:LONGEST_TITLE]
    if url is None or not title:
        return None
    published_at, dated_by = _date(entry.published_at, fetched_at)
    return Article(
        key=to_article_key(url),
        url=url,
        feed=feed,
        title=title,
        summary=summary,
        published_at=published_at,
        dated_by=dated_by,
        fetched_at=fetched_at,
        assets=tagger.tag(f"{title}\n{summary}"),
        sentiment=calc_sentiment(title, summary),
    )


def _date(told: datetime | None, fetched_at: datetime) -> tuple[datetime, DatedBy]:
    if told is None:
        return fetched_at, DatedBy.FETCH
    if told > fetched_at:
        return fetched_at, DatedBy.CLAMP
    return told, DatedBy.FEED
