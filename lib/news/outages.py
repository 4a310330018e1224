"""Feeds that go on failing: people are told, because news that are missing look like news that do not happen."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from lib.news.feeds import FeedState
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.outbox import Outbox
from lib.notifications.texts import compose
from lib.results import render_count

PASSES_WITHIN = timedelta(days=1)


def tell_of_outages(states: Collection[FeedState], outbox: Outbox, now: datetime) -> None:
    """Record one message about each feed that has failed for a day, by what is stored; one an outage.

    Args:
        states: Of the feeds that were just asked, as they are stored.
        outbox: Where messages are recorded.
        now: UTC.
    """
    for state in states:
        if state.failing_since is not None and now - state.failing_since >= PASSES_WITHIN:
            outbox.record(write_outage(state, state.failing_since, at=now))


def write_outage(state: FeedState, since: datetime, *, at: datetime) -> Message:
    """Return the warning that a feed gives nothing; its key names the outage, so that one that lasts is told once.

    Args:
        state: What is on record of the feed.
        since: Of the first failure, UTC.
        at: When, UTC.
    """
    tries = render_count(state.consecutive_failures, "failed tries")
    body = (
        f"Failing since {since:%Y-%m-%d %H:%M} UTC, {tries}. The last one: {state.error}\n"
        "What it tells is missing from the news, and from the sentiment that signals may be filtered by.\n"
        "What to do: if the feed has moved or ended, change or remove it in FKS_NEWS_FEEDS; every run tries it again."
    )
    key = f"feed:{state.name}:{since:%Y-%m-%d %H:%M:%S}"
    return compose(MessageType.OPERATIONS, Severity.WARNING, f"News feed fails: {state.name}", body, key=key, at=at)
