"""Tables of indicators: the standard set of each candle, and how far each series is computed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
NAMES = (
    *("rsi_14", "macd", "macd_signal", "macd_histogram"),
    *("bollinger_lower", "bollinger_middle", "bollinger_upper", "atr_14"),
    *("sma_20", "sma_50", "sma_200", "ema_12", "ema_26"),
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "indicators",
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("timeframe", sa.Text, primary_key=True),
        sa.Column("opened_at", INSTANT, primary_key=True),
        sa.Column("close", sa.Double, nullable=False),
        *[sa.Column(name, sa.Double) for name in NAMES],
    )
    op.create_table(
        "indicator_states",
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("timeframe", sa.Text, primary_key=True),
        sa.Column("watched_from", INSTANT, nullable=False),
        sa.Column("computed_to", INSTANT, nullable=False),
        sa.Column("begins_at", INSTANT),
        sa.Column("digest", sa.BigInteger, nullable=False),
        sa.CheckConstraint("watched_from <= computed_to", name="indicator_states_in_order"),
        sa.CheckConstraint("begins_at <= watched_from", name="indicator_states_begin_before"),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("indicator_states")
    op.drop_table("indicators")
