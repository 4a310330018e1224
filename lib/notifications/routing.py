"""Routing: which channels get a message, and who is next when the first is silent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from lib.notifications.channels import Subscriber
from lib.notifications.messages import Message, Severity
from lib.notifications.outbox import DeliveryQueue, DeliveryState, Route

BATCH = 500
ESCALATION_WINDOW = timedelta(days=3)


def sort_by_escalation(subscribers: Sequence[Subscriber]) -> list[Subscriber]:
    """Return the channels in the order in which an urgent message goes through them."""
    return sorted(subscribers, key=lambda subscriber: (subscriber.order, subscriber.name))


def route_new(queue: DeliveryQueue, subscribers: Sequence[Subscriber], now: datetime) -> int:
    """Give every new message to the channels that want it; returns how many messages there were.

    A message is routed once, with the channels of that moment: a channel added later gets no old messages, and one
    that was recorded while there was no channel stays undelivered.
    """
    routed = 0
    while batch := queue.load_unrouted(BATCH):
        queue.save_routes({key: find_channels(message, subscribers) for key, message in batch.items()}, now)
        routed += len(batch)
    return routed


def find_channels(message: Message, subscribers: Sequence[Subscriber]) -> list[str]:
    """Return who gets the message. An urgent one that nobody subscribed to goes to the first channel."""
    ordered = sort_by_escalation(subscribers)
    wanted = [subscriber.name for subscriber in ordered if subscriber.wants(message)]
    if not wanted and message.severity is Severity.URGENT:
        return [subscriber.name for subscriber in ordered[:1]]
    return wanted


def escalate(
    queue: DeliveryQueue, subscribers: Sequence[Subscriber], now: datetime, after: timedelta
) -> frozenset[str]:
    """Hand urgent messages on that are stuck on their channel; returns the channels that got some."""
    order = [subscriber.name for subscriber in sort_by_escalation(subscribers)]
    onward = {
        key: [channel]
        for key, routes in queue.load_urgent(now - ESCALATION_WINDOW).items()
        if (channel := find_escalation(routes, order, now, after))
    }
    if onward:
        queue.save_routes(onward, now)
    return frozenset(channel for channels in onward.values() for channel in channels)


def find_escalation(routes: Sequence[Route], order: Sequence[str], now: datetime, after: timedelta) -> str | None:
    """Return the channel an urgent message goes to next, or None.

    Beginning with the first channel in `order` that has it: one that has not delivered `after` this long, or gave up,
    passes it to the next, whether that one subscribed to it or not.
    """
    held = {route.channel: route for route in routes}
    first = next((place for place, name in enumerate(order) if name in held), 0)
    for name in order[first:]:
        route = held.get(name)
        if route is None:
            return name
        if route.state is DeliveryState.DELIVERED:
            return None
        if route.state is not DeliveryState.FAILED and now - route.since < after:
            return None
    return None
