"""What became of messages, by channel and by message, as people read it. Each function works within a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from lib.notifications.outbox import ChannelRecord, DeliveryState, MessageRecord

# A part of a digest is delivered when its digest is.
BY_CHANNEL = text("""
    SELECT delivery.channel,
        count(*) FILTER (WHERE coalesce(digest.state, delivery.state) = 'delivered') AS delivered,
        count(*) FILTER (WHERE coalesce(digest.state, delivery.state) = 'failed') AS given_up,
        max(coalesce(digest.delivered_at, delivery.delivered_at)) AS delivered_at,
        count(*) FILTER (WHERE coalesce(digest.state, delivery.state) IN ('pending', 'in_doubt', 'held')) AS waiting
    FROM notifications AS message
    JOIN notification_deliveries AS delivery USING (notification_id)
    LEFT JOIN notification_deliveries AS digest
        ON digest.notification_id = delivery.digest_id AND digest.channel = delivery.channel
    WHERE message.created_at >= :since
    GROUP BY delivery.channel ORDER BY delivery.channel
""")
BY_MESSAGE = text("""
    SELECT notification_id, title, message.created_at, channel, state, delivered_at, last_error
    FROM (SELECT * FROM notifications ORDER BY created_at DESC, notification_id DESC LIMIT :limit) AS message
    LEFT JOIN notification_deliveries USING (notification_id)
    ORDER BY message.created_at DESC, notification_id DESC, channel
""")
WORDS = {
    DeliveryState.PENDING: "waits",
    DeliveryState.IN_DOUBT: "in doubt",
    DeliveryState.DELIVERED: "{row.delivered_at:%H:%M:%S}",
    DeliveryState.FAILED: "given up",
    DeliveryState.HELD: "held",
    DeliveryState.DIGESTED: "in a digest",
}


def load_channel_records(connection: Connection, since: datetime) -> Sequence[ChannelRecord]:
    """Return what became of the messages created since, by channel."""
    rows = connection.execute(BY_CHANNEL, {"since": since})
    return [ChannelRecord(row.channel, row.delivered, row.given_up, row.delivered_at, row.waiting) for row in rows]


def load_message_records(connection: Connection, limit: int) -> Sequence[MessageRecord]:
    """Return what became of the newest messages, newest first."""
    found: dict[int, MessageRecord] = {}
    for row in connection.execute(BY_MESSAGE, {"limit": limit}):
        record = found.setdefault(row.notification_id, MessageRecord(row.title, row.created_at, {}))
        if row.channel is not None:
            found[row.notification_id] = replace(record, places={**record.places, row.channel: _describe(row)})
    return list(found.values())


def _describe(row: Row[Any]) -> str:
    what = WORDS[DeliveryState(row.state)].format(row=row)
    return f"{what}: {row.last_error}" if row.last_error else what
