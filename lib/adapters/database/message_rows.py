"""Rows of recorded messages and their files, for whoever stores or reads some in a transaction of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from lib.adapters.database.tables.notifications import NotificationAttachmentRow, NotificationRow
from lib.notifications.links import find_link
from lib.notifications.messages import Attachment, Message, MessageType, Severity


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
