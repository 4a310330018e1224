"""Fetching the news: every feed, what is new in it, each story once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lib.errors import FksError
from lib.news.articles import Article, make_article
from lib.news.feeds import FeedFetcher, FeedState, FetchedFeed, Validators, calc_url_hash
from lib.news.outages import tell_of_outages
from lib.news.report import NewsResult, list_stories
from lib.news.stores import NewsDesk, NewsStore
from lib.news.stories import NEAR, find_story
from lib.news.tagging import AssetTagger
from lib.notifications.outbox import Outbox
from lib.ports import Clock
from lib.results import Item, Status, calc_status, failed_item

TASK = "fetch_news"
AT_ONCE = 8
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """One feed's answer: what it sent, nothing when it is not modified, or why it failed."""

    name: str
    url_hash: str
    fetched: FetchedFeed | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Added:
    """What was stored, and the keys of new articles beyond the limit."""

    articles: tuple[Article, ...]
    left: frozenset[str]


async def fetch_news(
    *,
    feeds: Mapping[str, str],
    fetcher: FeedFetcher,
    store: NewsStore,
    outbox: Outbox,
    clock: Clock,
    assets: Collection[str],
    limit: int = 50,
) -> NewsResult:
    """Fetch all feeds at once and store what is new, the newest first.

    An article is known by its link, so that no run stores it twice; an entry without a usable link or any text is
    counted and left out. The same story of another feed is stored as a repetition of the first (`lib.news.stories`).
    What an article says later is not looked at again. All is stored in one transaction: a run that is killed leaves
    nothing, and the next one does it. New articles beyond `limit` are left for the next run, which asks their feeds
    for everything again.

    Args:
        feeds: Address by the operator's name of it; an address can hold a secret and is never logged or stored.
        fetcher: The network.
        store: Where articles are.
        outbox: Where a message about a feed that has failed for a day is recorded.
        clock: Now.
        assets: Tickers to tag with: ("BTC", "ETH").
        limit: How many articles a run stores at most.

    Raises:
        AllItemsFailed: Every feed failed; that is on record of each.
        DatabaseUnavailable: Nothing was stored; trying again is safe.
    """
    started_at = clock.now()
    known = store.load_feeds()
    slots = asyncio.Semaphore(AT_ONCE)
    asked = await asyncio.gather(*(_ask(name, url, known.get(name), fetcher, slots) for name, url in feeds.items()))
    now = clock.now()
    tagger = AssetTagger(assets)
    found = {one.name: _read(one.name, one.fetched, now, tagger) for one in asked if one.fetched is not None}
    with store.open_desk() as desk:
        added = _add_newest(desk, [article for articles in found.values() for article in articles], limit)
        behind = {name for name, articles in found.items() if any(article.key in added.left for article in articles)}
        states = [_to_state(one, known.get(one.name), now, is_behind=one.name in behind) for one in asked]
        desk.save_feeds(states)
    tell_of_outages(states, outbox, now)
    items = tuple(_describe(one, found.get(one.name, ()), added) for one in asked)
    repeated = sum(article.same_as is not None for article in added.articles)
    return NewsResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={
            "new stories": len(added.articles) - repeated,
            "repeated": repeated,
            "left for the next run": len(added.left),
        },
        items=items,
        started_at=started_at,
        finished_at=clock.now(),
        stories=list_stories(added.articles),
    )


async def _ask(name: str, url: str, state: FeedState | None, fetcher: FeedFetcher, slots: asyncio.Semaphore) -> _Asked:
    url_hash = calc_url_hash(url)
    validators = state.validators if state and state.url_hash == url_hash else Validators()
    try:
        async with slots:
            return _Asked(name, url_hash, await fetcher.fetch_feed(url, validators))
    except Exception as error:  # one feed's failure, counted as a failed item
        if isinstance(error, FksError):
            logger.warning("Feed %s: %s", name, error)
        else:
            logger.exception("Feed %s", name)
        return _Asked(name, url_hash, error=error)


def _read(name: str, fetched: FetchedFeed, now: datetime, tagger: AssetTagger) -> tuple[Article, ...]:
    """Return the articles of a feed, each once."""
    articles = (make_article(entry, name, now, tagger) for entry in fetched.entries)
    by_key: dict[str, Article] = {}
    for article in articles:
        if article is not None:
            by_key.setdefault(article.key, article)
    return tuple(by_key.values())


def _add_newest(desk: NewsDesk, found: Sequence[Article], limit: int) -> _Added:
    """Store the newest articles that are not known; the feed that is named first keeps what several have."""
    known = desk.load_known({article.key for article in found})
    fresh: dict[str, Article] = {}
    for article in found:
        if article.key not in known:
            fresh.setdefault(article.key, article)
    newest_first = sorted(fresh.values(), key=lambda article: article.published_at, reverse=True)
    chosen, left = newest_first[:limit][::-1], newest_first[limit:]
    if chosen:
        chosen = _mark_repeated(chosen, list(desk.load_stories(chosen[0].published_at - NEAR)))
        desk.add_articles(chosen)
    return _Added(tuple(chosen), frozenset(article.key for article in left))


def _mark_repeated(oldest_first: Sequence[Article], stories: list[Article]) -> list[Article]:
    """Let each article that tells a known story name it; the others become stories."""
    marked = []
    for article in oldest_first:
        story = find_story(article, stories)
        if story is None:
            stories.append(article)
        marked.append(replace(article, same_as=story.key if story else None))
    return marked


def _to_state(one: _Asked, before: FeedState | None, now: datetime, *, is_behind: bool) -> FeedState:
    """Return what is to be on record; a feed with articles left is asked for everything again."""
    state = before or FeedState(one.name, one.url_hash, Validators(), now)
    if state.url_hash != one.url_hash:
        state = FeedState(one.name, one.url_hash, Validators(), now, last_ok_at=state.last_ok_at)
    if one.error is not None:
        return replace(
            state,
            checked_at=now,
            error=failed_item("", one.error).detail,
            consecutive_failures=state.consecutive_failures + 1,
            failing_since=state.failing_since or now,
        )
    if one.fetched is not None:
        state = replace(state, validators=Validators() if is_behind else one.fetched.validators)
    return replace(state, checked_at=now, last_ok_at=now, error=None, consecutive_failures=0, failing_since=None)


def _describe(one: _Asked, found: Sequence[Article], added: _Added) -> Item:
    if one.error is not None:
        return failed_item(one.name, one.error)
    if one.fetched is None:
        return Item(name=one.name, status=Status.SKIPPED, detail="fresh: not modified")
    new = sum(article.feed == one.name for article in added.articles)
    told = [f"{new} new of {len(one.fetched.entries)}"]
    if left := sum(article.key in added.left for article in found):
        told.append(f"{left} left for the next run")
    if unusable := len(one.fetched.entries) - len(found):
        told.append(f"{unusable} repeated in it, or without a web address or text")
    if one.fetched.is_cut_off:
        told.append("the feed breaks off; its last entry is left for the next run")
    status = Status.PARTIAL if one.fetched.is_cut_off else Status.OK
    return Item(name=one.name, status=status, detail=", ".join(told))
