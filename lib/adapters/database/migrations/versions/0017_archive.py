"""The archive's manifest, the sizes of tables by day, and gaps that are in the archive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables, and allow the new state of gaps."""
    op.create_table(
        "archive_manifest",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("dataset", "symbol", "timeframe")),
        sa.Column("month", sa.Date, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("rows", "size_bytes")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("sha256", "state")),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("written_at", INSTANT, nullable=False),
        *(sa.Column(name, INSTANT) for name in ("archived_at", "restored_at", "keep_until")),
        sa.CheckConstraint("state IN ('written', 'archived', 'restored')", name="archive_manifest_state"),
        sa.CheckConstraint("rows > 0 AND size_bytes > 0 AND deleted >= 0", name="archive_manifest_counts"),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="archive_manifest_sha256"),
        sa.CheckConstraint("extract(day FROM month) = 1", name="archive_manifest_month"),
        sa.CheckConstraint(
            "(state = 'restored') = (keep_until IS NOT NULL)", name="archive_manifest_restored_is_kept_until"
        ),
    )
    op.create_table(
        "table_sizes",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("size_bytes", "rows")),
        sa.Column("measured_at", INSTANT, nullable=False),
        sa.CheckConstraint("size_bytes >= 0 AND rows >= 0", name="table_sizes_counts"),
    )
    _allow_states("open", "verified_absent", "archived")


def downgrade() -> None:
    """Remove the tables; what is in the archive counts as never stored."""
    op.execute("DELETE FROM candle_gaps WHERE state = 'archived'")
    _allow_states("open", "verified_absent")
    op.drop_table("table_sizes")
    op.drop_table("archive_manifest")


def _allow_states(*states: str) -> None:
    op.drop_constraint("candle_gaps_state", "candle_gaps")
    allowed = ", ".join(f"'{state}'" for state in states)
    op.create_check_constraint("candle_gaps_state", "candle_gaps", f"state IN ({allowed})")
