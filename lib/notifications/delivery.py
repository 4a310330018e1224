"""Delivery: taking due messages from the outbox to their channels."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lib.errors import DatabaseUnavailable
from lib.notifications.channels import Answer, Subscriber
from lib.notifications.digests import send_held
from lib.notifications.holding import Held
from lib.notifications.layout import find_next, lay_out
from lib.notifications.outbox import (
    STUCK_AFTER,
    Backlog,
    Delivery,
    DeliveryQueue,
    DeliveryState,
    NotificationStore,
    Settlement,
)
from lib.notifications.refusals import tell_refused
from lib.notifications.routing import escalate, route_new
from lib.notifications.settling import FIRST_BACKOFF, GIVE_UP_AFTER, Attempt, give_up_doubtful, settle
from lib.ports import Clock

LEASE = timedelta(minutes=2)  # a channel answers within a minute (`Channel.send`); then its sender is dead

RECORDING_PAUSES_SECONDS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Pace:
    """How long a delivery pass may take, and how it waits.

    Attributes:
        budget_seconds: No sending begins, and no wait ends, later than this after the pass began; a channel to which
            it hands an urgent message on has as long again.
        escalation_seconds: After how long an urgent message goes on to the next channel.
        sleep: Waits that many seconds.
        jitter: Returns 0 to 1.
    """

    budget_seconds: float = 20
    escalation_seconds: float = 120
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


@dataclass
class ChannelReport:
    """What one pass did for one channel.

    Attributes:
        name: The channel.
        delivered: Messages it has confirmed completely.
        given_up: Title and reason of each message it will not get, or not with its files.
        backlog: What still waits for it, and why; None when nothing does.
        fault: Why its settings make no channel; empty when they do.
        held: What waits for its digest; None when nothing does.
        held_until: When that is due.
    """

    name: str
    delivered: int = 0
    given_up: list[tuple[str, str]] = field(default_factory=list)
    backlog: Backlog | None = None
    fault: str = ""
    held: Held | None = None
    held_until: datetime | None = None


def deliver_due(
    store: NotificationStore, subscribers: Sequence[Subscriber], clock: Clock, pace: Pace | None = None
) -> list[ChannelReport]:
    """Send what is due, on all channels at once: on each, urgent messages first, then by age.

    Two processes may do so at once: each message goes to each channel once. A message whose sender was killed between
    sending and recording is repeated and says so. Nothing is raised for a channel that fails; its messages wait. When
    one refuses us until a person mends it, the others are told.

    Raises:
        DatabaseUnavailable: What was sent and could not be recorded is in doubt; the next pass repeats it.
    """
    pace = pace or Pace()
    now = clock.now()
    route_new(store, subscribers, now)
    send_held(store, subscribers, now)
    budget, patience = timedelta(seconds=pace.budget_seconds), timedelta(seconds=pace.escalation_seconds)
    escalate(store, subscribers, now, patience)
    names = [subscriber.name for subscriber in subscribers]
    store.give_up_abandoned(names, now - GIVE_UP_AFTER, "the channel is no longer configured")
    if not subscribers:
        return []
    passes = {each.name: _Pass(store, each, clock, pace) for each in subscribers}
    due = frozenset(names)
    while due:
        _run_passes([passes[name] for name in names if name in due], clock.now() + budget)
        due = tell_refused(store, subscribers, clock.now()) | escalate(store, subscribers, clock.now(), patience)
    _report_held(store, subscribers, {name: each.report for name, each in passes.items()}, clock.now())
    return [each.report for each in passes.values()]


def _report_held(
    store: NotificationStore, subscribers: Sequence[Subscriber], reports: Mapping[str, ChannelReport], now: datetime
) -> None:
    held = store.load_held()
    for subscriber in subscribers:
        if (waiting := held.get(subscriber.name)) is not None:
            report = reports[subscriber.name]
            report.held, report.held_until = waiting, subscriber.holding.find_due(waiting.since, now)


def _run_passes(passes: Sequence[_Pass], deadline: datetime) -> None:
    with ThreadPoolExecutor(max_workers=len(passes), thread_name_prefix="channel") as pool:
        for running in [pool.submit(each.run, deadline) for each in passes]:
            running.result()


class _Pass:
    """One channel's share of a pass; runs in a thread of its own, so that a slow channel delays no other."""

    def __init__(self, queue: DeliveryQueue, subscriber: Subscriber, clock: Clock, pace: Pace) -> None:
        self._queue = queue
        self._channel = subscriber.channel
        self._clock = clock
        self._pace = pace
        self._deadline = clock.now()
        self._owner = uuid.uuid4().hex
        self.report = ChannelReport(subscriber.name, fault=subscriber.fault)
        self._peace_until: datetime | None = None
        self._probing = False
        self._asked_again = False

    def run(self, deadline: datetime) -> None:
        """Send until nothing is due, or the deadline; may be called again."""
        self._deadline = deadline
        while (now := self._clock.now()) < self._deadline:
            if not self._wait(self._peace_until, now):
                break
            if (delivery := self._claim()) is not None:
                self._asked_again = False
                self._send_next_part(delivery)
            elif not self._wait_for_backlog():
                break
        self.report.backlog = self._load_backlog()

    def _claim(self) -> Delivery | None:
        now = self._clock.now()
        return self._queue.claim(self._channel.name, self._owner, now, now + LEASE, probing=self._probing)

    def _send_next_part(self, delivery: Delivery) -> None:
        settlement = give_up_doubtful(delivery, self._clock.now())
        if settlement is None:
            layout = lay_out(delivery, self._channel)
            following = find_next(delivery, layout, self._channel)
            outcome = self._channel.send(following.part, delivery.message.severity)
            now, jitter = self._clock.now(), self._pace.jitter()
            settlement = settle(
                Attempt(delivery, now, jitter, layout.count, len(layout.texts), following.covers), outcome
            )
            self._peace_until = outcome.retry_at if outcome.answer is Answer.DELIVERED else None
            if outcome.answer is Answer.UNAVAILABLE and delivery.failures >= STUCK_AFTER:
                # Is it this message or the channel? One behind it may tell, after a pause, as the channel may be down.
                self._probing = True
                self._peace_until = now + FIRST_BACKOFF
        self._record(delivery, settlement)
        self._count(delivery, settlement)

    def _record(self, delivery: Delivery, settlement: Settlement) -> None:
        """Record what happened, through a restart of the database: a message is sent, and must not be sent again."""
        for pause in RECORDING_PAUSES_SECONDS:
            try:
                self._queue.settle(delivery.delivery_id, self._owner, settlement, self._clock.now())
            except DatabaseUnavailable:
                self._pace.sleep(pause)
            else:
                return
        self._queue.settle(delivery.delivery_id, self._owner, settlement, self._clock.now())

    def _count(self, delivery: Delivery, settlement: Settlement) -> None:
        if settlement.state is DeliveryState.DELIVERED:
            self.report.delivered += 1
        if settlement.state.is_final and settlement.reason:
            self.report.given_up.append((delivery.message.title, settlement.reason))

    def _wait_for_backlog(self) -> bool:
        """Wait until the channel may be tried again; False when that is too late, or nothing waits for us."""
        backlog = self._load_backlog()
        now = self._clock.now()
        if backlog is None:
            return False
        if backlog.resume_at <= now:
            # Its time came since we asked; when not, another sender is at work.
            once, self._asked_again = not self._asked_again, True
            return once
        return self._wait(backlog.resume_at, now)

    def _wait(self, until: datetime | None, now: datetime) -> bool:
        if until is None or until <= now:
            return True
        if until >= self._deadline:
            return False
        self._pace.sleep((until - now).total_seconds())
        return True

    def _load_backlog(self) -> Backlog | None:
        return self._queue.load_backlog().get(self._channel.name)
