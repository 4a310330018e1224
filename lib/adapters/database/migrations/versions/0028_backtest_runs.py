"""Every search of parameters, also one that found nothing better."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
VERSION = ["strategy_parameters.strategy", "strategy_parameters.version"]


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "backtest_runs",
        sa.Column("strategy", sa.Text, sa.ForeignKey("strategies.name"), nullable=False),
        sa.Column("window_ends_at", INSTANT, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("window_starts_at", INSTANT, nullable=False),
        sa.Column("in_force_version", sa.Integer, nullable=False),
        sa.Column("candidate_version", sa.Integer),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("metrics", JSONB, nullable=False),
        sa.Column("code_version", sa.Text, nullable=False),
        sa.Column("searched_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("strategy", "window_ends_at", "scope"),
        sa.CheckConstraint("window_starts_at < window_ends_at", name="backtest_runs_window"),
        sa.ForeignKeyConstraint(["strategy", "in_force_version"], VERSION, name="backtest_runs_in_force"),
        sa.ForeignKeyConstraint(["strategy", "candidate_version"], VERSION, name="backtest_runs_candidate"),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("backtest_runs")
