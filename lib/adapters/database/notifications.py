"""The outbox in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from lib.adapters.database.engine import database_errors
from lib.adapters.database.notification_queue import BACKLOG, CHANNEL_LOCK, CLAIM, UNDELIVERED, URGENT
from lib.adapters.database.tables.notifications import (
    NotificationAttachmentRow,
    NotificationDeliveryRow,
    NotificationRow,
)
from lib.notifications.links import find_link
from lib.notifications.messages import Attachment, Message, MessageType, Severity
from lib.notifications.outbox import (
    Backlog,
    Delivery,
    DeliveryState,
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

    def save_routes(self, routes: Mapping[int, Sequence[str]], now: datetime) -> None:
        """Create the deliveries of each message, once per channel."""
        with database_errors("choosing channels"), self._begin() as connection:
            urgent = self._mark_routed(connection, list(routes), now)
            rows = [
                {
                    "notification_id": key,
                    "channel": channel,
                    "priority": 0 if urgent[key] else 1,
                    "created_at": now,
                    "next_attempt_at": now,
                }
                for key, channels in routes.items()
                for channel in channels
            ]
            if rows:
                once = insert(NotificationDeliveryRow)
                connection.execute(once.on_conflict_do_nothing(index_elements=["notification_id", "channel"]), rows)

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
            .where(col(row.state).in_([DeliveryState.PENDING, DeliveryState.IN_DOUBT]))
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

    def load_undelivered(self, since: datetime, limit: int) -> Sequence[Undelivered]:
        """Return messages that no channel has confirmed, urgent first, then newest first."""
        with database_errors("reading undelivered messages"), self._begin() as connection:
            return [_to_undelivered(row) for row in connection.execute(UNDELIVERED, {"since": since, "limit": limit})]

    def _begin(self) -> AbstractContextManager[Connection]:
        return self._engine.begin()

    def _mark_routed(self, connection: Connection, keys: Sequence[int], now: datetime) -> dict[int, bool]:
        """Mark the messages as routed; returns whether each is urgent."""
        row = NotificationRow
        routed = (
            update(row)
            .where(col(row.notification_id).in_(keys))
            .values(routed_at=func.coalesce(row.routed_at, now))
            .returning(col(row.notification_id), col(row.severity))
        )
        return {key: severity == Severity.URGENT for key, severity in connection.execute(routed)}


def record_message(connection: Connection, message: Message) -> bool:
    """Keep a message within a transaction that the caller commits, together with what the message tells of.

    Returns:
        False when one with its deduplication key is there.
    """
    row = insert(NotificationRow).values(
        type=message.type.value,
        severity=message.severity.value,
        title=message.title,
        body=message.body,
        deduplication_key=message.deduplication_key,
        link=message.link or find_link(),
        created_at=message.created_at,
    )
    once = row.on_conflict_do_nothing(index_elements=["deduplication_key"])
    key = connection.execute(once.returning(col(NotificationRow.notification_id))).scalar_one_or_none()
    if key is not None and message.attachments:
        connection.execute(insert(NotificationAttachmentRow), _attachment_rows(key, message.attachments))
    return key is not None


def to_message(row: Row[Any], attachments: tuple[Attachment, ...] = ()) -> Message:
    """Return the message of a row of `notifications`."""
    return Message(
        type=MessageType(row.type),
        severity=Severity(row.severity),
        title=row.title,
        body=row.body,
        deduplication_key=row.deduplication_key,
        created_at=row.created_at,
        link=row.link,
        attachments=attachments,
    )


def _attachment_rows(key: int, attachments: Sequence[Attachment]) -> list[dict[str, Any]]:
    return [
        {"notification_id": key, "number": number, "name": each.name, "media_type": each.media_type}
        | {"content": each.content}
        for number, each in enumerate(attachments)
    ]


def load_attachments(connection: Connection, key: int) -> tuple[Attachment, ...]:
    """Return the files of a message by its `notification_id`."""
    row = NotificationAttachmentRow
    wanted = (
        select(row.name, row.media_type, row.content).where(col(row.notification_id) == key).order_by(col(row.number))
    )
    return tuple(Attachment(*found) for found in connection.execute(wanted))


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
