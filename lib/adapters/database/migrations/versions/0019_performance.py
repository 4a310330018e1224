"""Tables of performance and of reports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
MEASURES = ("total_return", "benchmark_return", "average_return", "volatility", "sharpe", "sortino", "max_drawdown")


def upgrade() -> None:
    """Create the tables."""
    _create_snapshots()
    op.create_table(
        "reports",
        sa.Column("report_type", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("last_day", sa.Date, primary_key=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("headline", sa.Text, nullable=False),
        sa.Column("markdown", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("flaws", sa.Text, nullable=False),
        sa.CheckConstraint("report_type IN ('daily', 'weekly', 'monthly')", name="reports_report_type"),
    )


def _create_snapshots() -> None:
    op.create_table(
        "performance_snapshots",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("days", sa.Integer, primary_key=True),
        sa.Column("last_day", sa.Date, primary_key=True),
        sa.Column("calculated_at", INSTANT, nullable=False),
        sa.Column("quote_asset", sa.Text, nullable=False),
        *[sa.Column(name, INSTANT, nullable=False) for name in ("began_at", "ended_at")],
        sa.Column("known_days", sa.Integer, nullable=False),
        *[
            sa.Column(name, sa.Numeric, nullable=False)
            for name in ("opening_equity", "closing_equity", "net_flows", "profit")
        ],
        *[sa.Column(name, sa.Double) for name in MEASURES],
        sa.Column("drawdown_days", sa.Integer),
        sa.Column("calmar", sa.Double),
        *[sa.Column(name, sa.Integer, nullable=False) for name in ("orders", "trades", "wins")],
        *[sa.Column(name, sa.Numeric, nullable=False) for name in ("gross_profit", "gross_loss")],
        *[sa.Column(name, sa.Double) for name in ("win_rate", "profit_factor")],
        sa.Column("fees", sa.Numeric, nullable=False),
        sa.CheckConstraint("days > 0 AND known_days >= 0", name="performance_snapshots_days"),
        sa.CheckConstraint("began_at <= ended_at", name="performance_snapshots_stretch"),
        sa.CheckConstraint("max_drawdown BETWEEN -1 AND 0", name="performance_snapshots_drawdown"),
        sa.CheckConstraint("wins BETWEEN 0 AND trades AND trades <= orders", name="performance_snapshots_trades"),
        sa.CheckConstraint("gross_profit >= 0 AND gross_loss <= 0", name="performance_snapshots_gross"),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("reports")
    op.drop_table("performance_snapshots")
