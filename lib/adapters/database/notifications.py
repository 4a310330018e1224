"""The outbox in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, update
from sqlmodel import col, select

from lib.adapters.database import delivery_records, held_notifications
from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import load_attachments, record_message, to_message
from lib.adapters.database.notification_queue import BACKLOG, CHANNEL_LOCK, CLAIM, ROUTE, UNDELIVERED, URGENT
from lib.adapters.database.tables.notifications import NotificationDeliveryRow, NotificationRow
from lib.notifications.holding import Held
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.outbox import (
    Backlog,
    ChannelRecord,
    Delivery,
    DeliveryState,
    MessageRecord,
    Route,
    Settlement,
    Undelivered,
)


class NotificationStore:
    """`Outbox` and `DeliveryQueue` on PostgreSQL; safe for many threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, message: Message) -> bool:
        """Keep the message; False when one with its key is there."""
        with database_errors("recording a message"), self._begin() as connection:
            return record_message(connection, message)

    def load_unrouted(self, limit: int) -> Mapping[int, Message]:
        """Return the oldest messages whose channels are not chosen yet."""
        wanted = (
            select(NotificationRow)
            .where(col(NotificationRow.routed_at).is_(None))
            .order_by(col(NotificationRow.notification_id))
            .limit(limit)
        )
        with database_errors("reading new messages"), self._begin() as connection:
            return {row.notification_id: to_message(row) for row in connection.execute(wanted)}

    def save_routes(
        self, routes: Mapping[int, Sequence[str]], now: datetime, held: Collection[tuple[int, str]] = ()
    ) -> None:
        """Create the deliveries of each message, once per channel."""
        with database_errors("choosing channels"), self._begin() as connection:
            row = NotificationRow
            routed = update(row).where(col(row.notification_id).in_(routes))
            connection.execute(routed.values(routed_at=func.coalesce(row.routed_at, now)))
            pairs = [(key, channel) for key, channels in routes.items() for channel in channels]
            states = [DeliveryState.HELD if pair in held else DeliveryState.PENDING for pair in pairs]
            wanted = {"keys": [key for key, _ in pairs], "channels": [channel for _, channel in pairs]}
            connection.execute(ROUTE, wanted | {"states": [state.value for state in states], "now": now})

    def load_held(self) -> Mapping[str, Held]:
        """Return what waits for digests, by channel."""
        with database_errors("counting held messages"), self._begin() as connection:
            return held_notifications.load_held(connection)

    def load_held_messages(self, channel: str, limit: int) -> Mapping[int, Message]:
        """Return the oldest messages that the channel holds."""
        with database_errors("reading held messages"), self._begin() as connection:
            return held_notifications.load_held_messages(connection, channel, limit)

    def release_held(self, channel: str, keys: Sequence[int], digest: Message | None, now: datetime) -> bool:
        """Queue held messages, or a digest in their place, or change nothing."""
        with database_errors("making a digest"), self._engine.connect() as connection:
            released = held_notifications.release_held(connection, channel, keys, digest, now)
            if released:
                connection.commit()
            return released  # else closing the connection takes back what was changed

    def load_urgent(self, since: datetime) -> Mapping[int, Sequence[Route]]:
        """Return the deliveries of urgent messages where at least one is not delivered."""
        found: dict[int, list[Route]] = {}
        with database_errors("looking for stuck messages"), self._begin() as connection:
            for row in connection.execute(URGENT, {"since": since}):
                route = Route(row.channel, DeliveryState(row.state), row.since, row.refused)
                found.setdefault(row.notification_id, []).append(route)
        return {
            key: routes
            for key, routes in found.items()
            if any(route.state is not DeliveryState.DELIVERED for route in routes)
        }

    def claim(
        self, channel: str, owner: str, now: datetime, until: datetime, *, probing: bool = False
    ) -> Delivery | None:
        """Claim the channel's next delivery, or None."""
        claim = {"channel": channel, "owner": owner, "now": now, "until": until, "probing": probing}
        with database_errors(f"taking the next message for {channel}"), self._begin() as connection:
            connection.execute(CHANNEL_LOCK, {"channel": channel})
            row = connection.execute(CLAIM, claim).one_or_none()
            files = load_attachments(connection, row.notification_id) if row is not None else ()
        if row is None:
            return None
        return Delivery(
            delivery_id=row.delivery_id,
            channel=row.channel,
            message=to_message(row, files),
            attempts=row.attempts,
            parts_sent=row.parts_sent,
            doubts=row.doubts,
            refusals=row.refusals,
            text_sent=row.text_sent,
        )

    def settle(self, delivery_id: int, owner: str, settlement: Settlement, now: datetime) -> bool:
        """Record what an attempt changed, and end the claim."""
        change = (
            update(NotificationDeliveryRow)
            .where(col(NotificationDeliveryRow.delivery_id) == delivery_id)
            .where(col(NotificationDeliveryRow.claimed_by) == owner)
            .values(
                state=settlement.state.value,
                parts_sent=settlement.parts_sent,
                doubts=settlement.doubts,
                refusals=settlement.refusals,
                text_sent=settlement.text_sent,
                next_attempt_at=settlement.next_attempt_at,
                last_error=settlement.reason,
                delivered_at=now if settlement.state is DeliveryState.DELIVERED else None,
                claimed_by=None,
                claimed_until=None,
            )
        )
        with database_errors("recording a delivery"), self._begin() as connection:
            return bool(connection.execute(change).rowcount)

    def give_up_abandoned(self, channels: Sequence[str], before: datetime, reason: str) -> int:
        """Give up what waits for channels that are none of these."""
        row = NotificationDeliveryRow
        abandoned = (
            update(row)
            .where(col(row.state).in_([DeliveryState.PENDING, DeliveryState.IN_DOUBT, DeliveryState.HELD]))
            .where(col(row.channel).not_in(channels))
            .where(col(row.created_at) < before)
            .values(state=DeliveryState.FAILED.value, last_error=reason, claimed_by=None, claimed_until=None)
        )
        with database_errors("giving up abandoned messages"), self._begin() as connection:
            return int(connection.execute(abandoned).rowcount)

    def load_backlog(self) -> Mapping[str, Backlog]:
        """Return what waits, by channel."""
        with database_errors("counting waiting messages"), self._begin() as connection:
            return {
                row.channel: Backlog(row.waiting, row.oldest_at, row.resume_at, row.reason, row.passed_by, row.refused)
                for row in connection.execute(BACKLOG)
            }

    def load_channel_records(self, since: datetime) -> Sequence[ChannelRecord]:
        """Return what became of the messages created since, by channel."""
        with database_errors("reading the record of channels"), self._begin() as connection:
            return delivery_records.load_channel_records(connection, since)

    def load_message_records(self, limit: int) -> Sequence[MessageRecord]:
        """Return what became of the newest messages."""
        with database_errors("reading the record of messages"), self._begin() as connection:
            return delivery_records.load_message_records(connection, limit)

    def load_undelivered(self, since: datetime, limit: int) -> Sequence[Undelivered]:
        """Return messages that no channel has confirmed, urgent first, then newest first."""
        with database_errors("reading undelivered messages"), self._begin() as connection:
            return [_to_undelivered(row) for row in connection.execute(UNDELIVERED, {"since": since, "limit": limit})]

    def _begin(self) -> AbstractContextManager[Connection]:
        return self._engine.begin()


def _to_undelivered(row: Row[Any]) -> Undelivered:
    waits = f"waits for {', '.join(row.channels)}" if row.channels else "no channel configured for it"
    reason = "; ".join(row.errors or ()) or (waits if row.routed_at else "not sent yet")
    return Undelivered(
        type=MessageType(row.type),
        severity=Severity(row.severity),
        title=row.title,
        created_at=row.created_at,
        reason=reason,
    )
