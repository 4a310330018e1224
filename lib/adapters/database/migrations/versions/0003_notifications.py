"""Tables of the outbox: messages, and their way to each channel."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
WAITING = sa.text("state IN ('pending', 'in_doubt')")


def upgrade() -> None:
    """Create the tables."""
    _create_notifications()
    _create_deliveries()


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("type", "severity", "title", "body")],
        sa.Column("deduplication_key", sa.Text, nullable=False),
        sa.Column("link", sa.Text),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("routed_at", INSTANT),
        sa.UniqueConstraint("deduplication_key", name="notifications_once"),
        sa.CheckConstraint("severity IN ('info', 'warning', 'urgent')", name="notifications_severity"),
        sa.CheckConstraint("title <> '' AND body <> ''", name="notifications_say_something"),
    )
    op.create_index(
        "notifications_unrouted",
        "notifications",
        ["notification_id"],
        postgresql_where=sa.text("routed_at IS NULL"),
    )
    op.create_index("notifications_created_at", "notifications", ["created_at"])


def _create_deliveries() -> None:
    op.create_table(
        "notification_deliveries",
        sa.Column("delivery_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "notification_id",
            sa.BigInteger,
            sa.ForeignKey("notifications.notification_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        *[
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("attempts", "parts_sent", "doubts", "lost_claims", "refusals")
        ],
        *[sa.Column(name, INSTANT, nullable=False) for name in ("created_at", "next_attempt_at")],
        sa.Column("delivered_at", INSTANT),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("claimed_by", sa.Text),
        sa.Column("claimed_until", INSTANT),
        sa.UniqueConstraint("notification_id", "channel", name="notification_deliveries_once"),
        sa.CheckConstraint(
            "state IN ('pending', 'in_doubt', 'delivered', 'failed')", name="notification_deliveries_state"
        ),
        sa.CheckConstraint("(claimed_by IS NULL) = (claimed_until IS NULL)", name="notification_deliveries_claim"),
        sa.CheckConstraint(
            "(state = 'delivered') = (delivered_at IS NOT NULL)", name="notification_deliveries_delivered"
        ),
    )
    for name, columns, where in (
        ("queue", ["priority", "notification_id"], WAITING),
        ("pause", ["next_attempt_at"], WAITING),
        ("claims", ["claimed_until"], sa.text("claimed_until IS NOT NULL")),
    ):
        op.create_index(
            f"notification_deliveries_{name}",
            "notification_deliveries",
            ["channel", *columns],
            postgresql_where=where,
        )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("notification_deliveries")
    op.drop_table("notifications")
