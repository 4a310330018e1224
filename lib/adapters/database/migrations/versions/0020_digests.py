"""Messages that wait for a channel's digest, and the digest that they became a part of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

DELIVERIES = "notification_deliveries"
BEFORE = "'pending', 'in_doubt', 'delivered', 'failed'"


def upgrade() -> None:
    """Allow the two states, with their column and index."""
    op.add_column(DELIVERIES, sa.Column("digest_id", sa.BigInteger))
    _allow_states(f"{BEFORE}, 'held', 'digested'")
    op.create_check_constraint(
        "notification_deliveries_digested", DELIVERIES, "(state = 'digested') = (digest_id IS NOT NULL)"
    )
    op.create_index(
        "notification_deliveries_held",
        DELIVERIES,
        ["channel", "notification_id"],
        postgresql_where=sa.text("state = 'held'"),
    )


def downgrade() -> None:
    """Remove them; what waits is queued, and what became a part of a digest counts as delivered."""
    op.drop_index("notification_deliveries_held", DELIVERIES)
    op.drop_constraint("notification_deliveries_digested", DELIVERIES)
    op.execute("UPDATE notification_deliveries SET state = 'pending' WHERE state = 'held'")
    op.execute(
        "UPDATE notification_deliveries SET state = 'delivered', delivered_at = next_attempt_at, text_sent = true"
        " WHERE state = 'digested'"
    )
    _allow_states(BEFORE)
    op.drop_column(DELIVERIES, "digest_id")


def _allow_states(states: str) -> None:
    op.drop_constraint("notification_deliveries_state", DELIVERIES)
    op.create_check_constraint("notification_deliveries_state", DELIVERIES, f"state IN ({states})")
