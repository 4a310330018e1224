"""Messages that wait for a channel's digest, in PostgreSQL. Each function works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from lib.adapters.database.message_rows import load_attachments, record_message, to_message
from lib.notifications.holding import Held
from lib.notifications.messages import Message

HELD = text("""
    SELECT channel, count(*) AS waiting, min(created_at) AS since
    FROM notification_deliveries WHERE state = 'held' GROUP BY channel
""")
HELD_MESSAGES = text("""
    SELECT message.* FROM notification_deliveries AS delivery JOIN notifications AS message USING (notification_id)
    WHERE channel = :channel AND delivery.state = 'held'
    ORDER BY notification_id LIMIT :limit
""")
RELEASE = text("""
    UPDATE notification_deliveries SET state = 'pending', next_attempt_at = :now
    WHERE channel = :channel AND notification_id = ANY(:keys) AND state = 'held'
""")
DIGESTED = text("""
    UPDATE notification_deliveries SET state = 'digested', digest_id = :digest
    WHERE channel = :channel AND notification_id = ANY(:keys) AND state = 'held'
""")
QUEUE_DIGEST = text("""
    WITH routed AS (
        UPDATE notifications SET routed_at = :now WHERE deduplication_key = :key RETURNING notification_id)
    INSERT INTO notification_deliveries
        (notification_id, channel, priority, state, attempts, parts_sent, doubts, refusals, text_sent, created_at,
         next_attempt_at, last_error)
    SELECT notification_id, :channel, 1, 'pending', 0, 0, 0, 0, false, :now, :now, '' FROM routed
    RETURNING notification_id
""")


def load_held(connection: Connection) -> Mapping[str, Held]:
    """Return what waits, by channel."""
    return {row.channel: Held(row.waiting, row.since) for row in connection.execute(HELD)}


def load_held_messages(connection: Connection, channel: str, limit: int) -> Mapping[int, Message]:
    """Return the oldest messages that the channel holds, with their files."""
    rows = connection.execute(HELD_MESSAGES, {"channel": channel, "limit": limit}).all()
    return {row.notification_id: to_message(row, load_attachments(connection, row.notification_id)) for row in rows}


def release_held(
    connection: Connection, channel: str, keys: Sequence[int], digest: Message | None, now: datetime
) -> bool:
    """Queue held messages, or a digest in their place; False when they are held no more.

    The caller's transaction is to be given up then: a part of them may have been changed.
    """
    wanted = {"channel": channel, "keys": list(keys), "now": now}
    if digest is None:
        return connection.execute(RELEASE, wanted).rowcount == len(keys)
    if not record_message(connection, digest):
        return False
    queued = {"key": digest.deduplication_key, "channel": channel, "now": now}
    digest_id = connection.execute(QUEUE_DIGEST, queued).scalar_one()
    return connection.execute(DIGESTED, wanted | {"digest": digest_id}).rowcount == len(keys)
