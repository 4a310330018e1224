"""Channels that refuse us until a person mends something: people are told through the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lib.notifications.channels import Subscriber
from lib.notifications.outbox import NotificationStore
from lib.notifications.routing import route_new
from lib.notifications.texts import write_channel_refused


def tell_refused(store: NotificationStore, subscribers: Sequence[Subscriber], now: datetime) -> frozenset[str]:
    """Record a message about each channel that refuses us, once; returns the channels that got one.

    Where every channel refuses us nobody could be told; the runs fail and say so.
    """
    backlogs = store.load_backlog()
    names = [subscriber.name for subscriber in subscribers]
    refusing = {name: backlogs[name] for name in names if name in backlogs and backlogs[name].refused}
    if not refusing or len(refusing) == len(names):
        return frozenset()
    messages = [write_channel_refused(name, backlog, at=now) for name, backlog in refusing.items()]
    recorded = [store.record(message) for message in messages]
    return route_new(store, subscribers, now) if any(recorded) else frozenset()
