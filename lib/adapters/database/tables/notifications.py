"""Tables of the outbox. Every instant is UTC.

A message is one row of `notifications`, kept for ever, with its files in `notification_attachments`; its way to each
channel is one row of `notification_deliveries`.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)
WAITING = sql("state IN ('pending', 'in_doubt')")


class NotificationRow(SQLModel, table=True):
    """One message to people. `routed_at` is when its channels were chosen; with no delivery then, nobody was told."""

    __tablename__ = "notifications"
    __table_args__: ClassVar = (
        Unique("deduplication_key", name="notifications_once"),
        CheckConstraint("severity IN ('info', 'warning', 'urgent')", name="notifications_severity"),
        CheckConstraint("title <> '' AND body <> ''", name="notifications_say_something"),
        Index("notifications_unrouted", "notification_id", postgresql_where=sql("routed_at IS NULL")),
        Index("notifications_created_at", "created_at"),
    )

    notification_id: int | None = Field(
        None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)]
    )
    type: str = Field(sa_type=Text)
    severity: str = Field(sa_type=Text)
    title: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    deduplication_key: str = Field(sa_type=Text)
    link: str | None = Field(None, sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)
    routed_at: datetime | None = Field(None, sa_type=INSTANT)


class NotificationAttachmentRow(SQLModel, table=True):
    """A file of a message; `number` is its place, from 0."""

    __tablename__ = "notification_attachments"
    __table_args__: ClassVar = (CheckConstraint("octet_length(content) > 0", name="notification_attachments_content"),)

    notification_id: int = Field(
        primary_key=True,
        sa_type=BigInteger,
        sa_column_args=[ForeignKey("notifications.notification_id", ondelete="CASCADE")],
    )
    number: int = Field(primary_key=True, sa_type=SmallInteger)
    name: str = Field(sa_type=Text)
    media_type: str = Field(sa_type=Text)
    content: bytes = Field(sa_type=LargeBinary)


class NotificationDeliveryRow(SQLModel, table=True):
    """One message on one channel: sent at most once, but for one that is in doubt.

    `priority` is 0 for urgent messages, else 1; with `notification_id` it is the channel's order. While `claimed_until`
    is in the future its sender is at work; in the past, that sender died. `parts_sent` of a long message are confirmed.
    `doubts`, `refusals` and `text_sent`: see `lib.notifications.outbox.Delivery`. One that waited for a digest ends as
    digested, with the message that it became a part of (`digest_id`).
    """

    __tablename__ = "notification_deliveries"
    __table_args__: ClassVar = (
        Unique("notification_id", "channel", name="notification_deliveries_once"),
        CheckConstraint(
            "state IN ('pending', 'in_doubt', 'delivered', 'failed', 'held', 'digested')",
            name="notification_deliveries_state",
        ),
        CheckConstraint("(state = 'digested') = (digest_id IS NOT NULL)", name="notification_deliveries_digested"),
        CheckConstraint("(claimed_by IS NULL) = (claimed_until IS NULL)", name="notification_deliveries_claim"),
        CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="notification_deliveries_delivered"),
        # The queue of a channel stays small beside its history.
        Index("notification_deliveries_queue", "channel", "priority", "notification_id", postgresql_where=WAITING),
        Index("notification_deliveries_held", "channel", "notification_id", postgresql_where=sql("state = 'held'")),
        Index("notification_deliveries_pause", "channel", "next_attempt_at", postgresql_where=WAITING),
        Index(
            "notification_deliveries_claims",
            "channel",
            "claimed_until",
            postgresql_where=sql("claimed_until IS NOT NULL"),
        ),
    )

    delivery_id: int | None = Field(None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    notification_id: int = Field(
        sa_type=BigInteger, sa_column_args=[ForeignKey("notifications.notification_id", ondelete="CASCADE")]
    )
    channel: str = Field(sa_type=Text)
    priority: int = Field(sa_type=SmallInteger)
    state: str = Field("pending", sa_type=Text)
    attempts: int = Field(0, sa_type=Integer)
    parts_sent: int = Field(0, sa_type=Integer)
    doubts: int = Field(0, sa_type=Integer)
    refusals: int = Field(0, sa_type=Integer)
    text_sent: bool = Field(False, sa_type=Boolean)
    created_at: datetime = Field(sa_type=INSTANT)
    next_attempt_at: datetime = Field(sa_type=INSTANT)
    delivered_at: datetime | None = Field(None, sa_type=INSTANT)
    last_error: str = Field("", sa_type=Text)
    digest_id: int | None = Field(None, sa_type=BigInteger)
    claimed_by: str | None = Field(None, sa_type=Text)
    claimed_until: datetime | None = Field(None, sa_type=INSTANT)
