"""Tables of risk snapshots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
TEXTS = sa.ARRAY(sa.Text)


def upgrade() -> None:
    """Create the tables."""
    _create_snapshots()
    op.create_table(
        "risk_alarms",
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        *[sa.Column(name, INSTANT) for name in ("raised_at", "alerted_at")],
        sa.Column("told", TEXTS, nullable=False),
        sa.Column("alerts", sa.Integer, nullable=False),
        sa.CheckConstraint("alerts >= 0", name="risk_alarms_alerts"),
    )


def _create_snapshots() -> None:
    op.create_table(
        "risk_snapshots",
        sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
        sa.Column("at", INSTANT, primary_key=True),
        sa.Column("state_at", INSTANT, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("fired", JSONB, nullable=False),
        *[sa.Column(name, sa.Numeric, nullable=False) for name in ("equity", "market_value", "unrealized_pnl")],
        *[sa.Column(name, sa.Numeric) for name in ("exposure_ratio", "loss_ratio")],
        sa.Column("largest_symbol", sa.Text),
        sa.Column("largest_share", sa.Numeric),
        sa.Column("unpriced", TEXTS, nullable=False),
        *[sa.Column(name, sa.Double) for name in ("var_95", "shortfall_95", "var_99", "shortfall_99")],
        sa.Column("var_days", sa.Integer),
        sa.Column("worst_day", sa.Date),
        sa.Column("worst_loss", sa.Double),
        *[sa.Column(name, sa.Numeric) for name in ("drawdown_ratio", "worst_drawdown_ratio")],
        sa.Column("peak_at", INSTANT),
        *[sa.Column(name, sa.Double) for name in ("average_correlation", "highest_correlation")],
        *[sa.Column(name, sa.Text) for name in ("highest_first", "highest_second")],
        sa.CheckConstraint("level IN ('NONE', 'LOW', 'MEDIUM', 'HIGH')", name="risk_snapshots_level"),
        sa.CheckConstraint("drawdown_ratio <= 0 AND worst_drawdown_ratio <= 0", name="risk_snapshots_drawdown"),
        sa.CheckConstraint(
            "(var_days IS NULL) = (var_95 IS NULL) AND (var_95 IS NULL) = (shortfall_95 IS NULL)"
            " AND (var_95 IS NULL) = (var_99 IS NULL) AND (var_95 IS NULL) = (shortfall_99 IS NULL)",
            name="risk_snapshots_value_at_risk",
        ),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("risk_alarms")
    op.drop_table("risk_snapshots")
