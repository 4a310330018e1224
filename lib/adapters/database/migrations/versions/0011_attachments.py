"""Files of messages; deliveries know whether people have the text, and count dead senders among the doubts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; what was delivered before had its whole text sent."""
    op.create_table(
        "notification_attachments",
        sa.Column(
            "notification_id",
            sa.BigInteger,
            sa.ForeignKey("notifications.notification_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.SmallInteger, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("octet_length(content) > 0", name="notification_attachments_content"),
    )
    op.add_column(
        "notification_deliveries", sa.Column("text_sent", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.execute("UPDATE notification_deliveries SET text_sent = (state = 'delivered')")
    op.alter_column("notification_deliveries", "text_sent", server_default=None)
    op.drop_column("notification_deliveries", "lost_claims")


def downgrade() -> None:
    """Remove the table and the column; dead senders begin to be counted anew."""
    op.add_column(
        "notification_deliveries", sa.Column("lost_claims", sa.Integer, nullable=False, server_default=sa.text("0"))
    )
    op.alter_column("notification_deliveries", "lost_claims", server_default=None)
    op.drop_column("notification_deliveries", "text_sent")
    op.drop_table("notification_attachments")
