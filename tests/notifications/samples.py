"""What the tests of notifications share: a clock they drive, messages, and an outbox with a local Discord."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from lib.adapters.channels import make_channel
from lib.adapters.database.engine import make_engine
from lib.adapters.database.notifications import NotificationStore
from lib.notifications.channels import Answer, FilePlace, SendOutcome, Subscriber
from lib.notifications.delivery import ChannelReport, Pace, deliver_due
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.parts import Part
from tests.webhooks import WebhookServer

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class DrivenClock:
    """A clock that stands still until it is told otherwise; sleeping drives it."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
        self.pass_by(seconds=seconds)

    def pass_by(self, **duration: float) -> None:
        with self._lock:
            self._now += timedelta(**duration)


def make_message(title: str = "🛑 STOP LOSS triggered: SOL/USDT", **given: Any) -> Message:
    values: dict[str, Any] = {
        "type": MessageType.STOP_LOSS,
        "severity": Severity.WARNING,
        "title": title,
        "body": "Price 95.00, stop 100.00.",
        "deduplication_key": f"test:{title}",
        "created_at": NOON,
        **given,
    }
    return Message(**values)


def make_urgent(title: str = "🛑 STOP LOSS triggered: SOL/USDT", **given: Any) -> Message:
    return make_message(title, severity=Severity.URGENT, **given)


class PickyChannel:
    """Takes every message but those it cannot deliver, and says each time that it is unavailable."""

    name = "mail"
    max_characters = 5000
    file_place = FilePlace.NOWHERE

    def __init__(self, *undeliverable: str) -> None:
        self.undeliverable = set(undeliverable)
        self.tried: list[str] = []
        self.taken: list[str] = []

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        self.tried.append(part.title)
        if part.title in self.undeliverable:
            return SendOutcome(Answer.UNAVAILABLE, "no answer")
        self.taken.append(part.title)
        return SendOutcome(Answer.DELIVERED)


def titles(webhooks: WebhookServer) -> list[str]:
    """The first line of each text that a server took, in order."""
    return [content.splitlines()[0] for content in webhooks.contents]


@dataclass
class PostOffice:
    """An outbox on a real database, and channels that post to local webhooks by the real Apprise."""

    store: NotificationStore
    clock: DrivenClock = field(default_factory=DrivenClock)

    def subscribe(self, name: str, webhooks: WebhookServer, **wishes: Any) -> Subscriber:
        return Subscriber(make_channel(name, webhooks.url, self.clock), **wishes)

    def record(self, *titles: str, **given: Any) -> None:
        for title in titles:
            assert self.store.record(make_message(title, created_at=self.clock.now(), **given))

    def route(self, channel: str) -> datetime:
        """Give what is recorded to a channel without sending it; returns the time."""
        now = self.clock.now()
        self.store.save_routes({key: [channel] for key in self.store.load_unrouted(10)}, now)
        return now

    def deliver(self, *subscribers: Subscriber, seconds: float = 20) -> list[ChannelReport]:
        pace = Pace(budget_seconds=seconds, sleep=self.clock.sleep, jitter=lambda: 0.0)
        return deliver_due(self.store, subscribers, self.clock, pace)

    def rows(self) -> list[Any]:
        """Every delivery with its message's title, oldest first."""
        joined = text(
            "SELECT * FROM notification_deliveries JOIN notifications USING (notification_id) ORDER BY delivery_id"
        )
        with self.store._engine.connect() as connection:
            return list(connection.execute(joined))


@contextmanager
def open_post_office(database_url: str) -> Iterator[PostOffice]:
    engine = make_engine(database_url)
    try:
        yield PostOffice(NotificationStore(engine))
    finally:
        engine.dispose()
