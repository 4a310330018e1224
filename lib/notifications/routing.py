"""Routing: which channels get a message, and who is next when the first is silent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.notifications.channels import Subscriber
from lib.notifications.messages import Message, Severity
from lib.notifications.outbox import DeliveryQueue, DeliveryState, Route
from lib.units import EPOCH

BATCH = 500
ESCALATION_WINDOW = timedelta(days=3)


def sort_by_escalation(subscribers: Sequence[Subscriber]) -> list[Subscriber]:
    """Return the channels in the order in which an urgent message goes through them."""
    return sorted(subscribers, key=lambda subscriber: (subscriber.order, subscriber.name))


def route_new(queue: DeliveryQueue, subscribers: Sequence[Subscriber], now: datetime) -> frozenset[str]:
    """Give every new message to the channels that want it; returns the channels that got some.

    A message is routed once, with the channels of that moment: a channel added later gets no old messages, and one
    that was recorded while there was no channel stays undelivered.
    """
    chosen: set[str] = set()
    holding: set[str] = set()
    while batch := queue.load_unrouted(BATCH):
        holding = holding or set(queue.load_held())
        routes = {key: find_channels(message, subscribers) for key, message in batch.items()}
        held = find_held(batch, routes, subscribers, holding, now)
        queue.save_routes(routes, now, held)
        chosen.update(*routes.values())
    return frozenset(chosen)


def find_held(
    messages: Mapping[int, Message],
    routes: Mapping[int, Sequence[str]],
    subscribers: Sequence[Subscriber],
    holding: Collection[str],
    now: datetime,
) -> frozenset[tuple[int, str]]:
    """Return which messages wait on which channels. Where some wait already, others join them: the order is kept."""
    known = {subscriber.name: subscriber for subscriber in subscribers}
    return frozenset(
        (key, name)
        for key, names in routes.items()
        for name in names
        if known[name].holds(messages[key], now) or (name in holding and messages[key].severity is Severity.INFO)
    )


def find_channels(message: Message, subscribers: Sequence[Subscriber]) -> list[str]:
    """Return who gets the message. An urgent one that nobody subscribed to goes to the first channel."""
    ordered = sort_by_escalation(subscribers)
    wanted = [subscriber.name for subscriber in ordered if subscriber.wants(message)]
    if not wanted and message.severity is Severity.URGENT:
        return [subscriber.name for subscriber in ordered[:1]]
    return wanted


@dataclass(frozen=True)
class Escalation:
    """The channel an urgent message goes to next, and from when on."""

    channel: str
    due_at: datetime


def escalate(
    queue: DeliveryQueue, subscribers: Sequence[Subscriber], now: datetime, after: timedelta
) -> frozenset[str]:
    """Hand urgent messages on that are stuck on their channel; returns the channels that got some."""
    onward = {
        key: [escalation.channel]
        for key, escalation in _find_escalations(queue, subscribers, now, after).items()
        if escalation.due_at <= now
    }
    if onward:
        queue.save_routes(onward, now)
    return frozenset(channel for channels in onward.values() for channel in channels)


def find_next_due(
    queue: DeliveryQueue, subscribers: Sequence[Subscriber], now: datetime, after: timedelta
) -> datetime | None:
    """Return when a delivery pass next has something to do, now at the earliest; None when nothing waits.

    Something is a message whose channel may be tried again, an urgent one that goes on to another channel, a digest, or
    one that was recorded since the last pass.
    """
    if not subscribers:
        return None
    names = {subscriber.name for subscriber in subscribers}
    due = [backlog.resume_at for name, backlog in queue.load_backlog().items() if name in names]
    held = queue.load_held()
    due += [one.holding.find_due(held[one.name].since, now) for one in subscribers if one.name in held]
    due += [escalation.due_at for escalation in _find_escalations(queue, subscribers, now, after).values()]
    if queue.load_unrouted(1):
        due.append(now)
    return max(now, min(due)) if due else None


def _find_escalations(
    queue: DeliveryQueue, subscribers: Sequence[Subscriber], now: datetime, after: timedelta
) -> dict[int, Escalation]:
    order = [subscriber.name for subscriber in sort_by_escalation(subscribers)]
    urgent = queue.load_urgent(now - ESCALATION_WINDOW)
    found = {key: find_escalation(routes, order, after) for key, routes in urgent.items()}
    return {key: escalation for key, escalation in found.items() if escalation}


def find_escalation(routes: Sequence[Route], order: Sequence[str], after: timedelta) -> Escalation | None:
    """Return where an urgent message goes next unless it is delivered before, or None.

    Beginning with the first channel in `order` that has it: one that has not delivered `after` this long, gave up, or
    refuses us, passes it to the next, whether that one subscribed to it or not.
    """
    held = {route.channel: route for route in routes}
    first = next((place for place, name in enumerate(order) if name in held), 0)
    due_at = EPOCH
    for name in order[first:]:
        route = held.get(name)
        if route is None:
            return Escalation(name, due_at)
        if route.state is DeliveryState.DELIVERED:
            return None
        if route.state is not DeliveryState.FAILED and not route.refused:
            due_at = max(due_at, route.since + after)
    return None
