"""Tables of market data: candles, their gaps, what is stored of each series, and symbols."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def upgrade() -> None:
    """Create the tables."""
    _create_candles()
    _create_candle_gaps()
    _create_sync_status()
    _create_symbols()


def _create_candles() -> None:
    op.create_table(
        "candles",
        *_key("symbol", "timeframe"),
        sa.Column("opened_at", INSTANT, primary_key=True),
        *[sa.Column(name, sa.Double, nullable=False) for name in ("open", "high", "low", "close", "volume")],
        sa.Column("quote_volume", sa.Double),
        sa.Column("trade_count", sa.BigInteger),
        sa.CheckConstraint("low > 0 AND high < 'Infinity'", name="candles_prices_are_finite"),
        sa.CheckConstraint(
            "low <= LEAST(open, close) AND high >= GREATEST(open, close)", name="candles_range_encloses"
        ),
        sa.CheckConstraint(
            "volume >= 0 AND volume < 'Infinity' AND quote_volume >= 0 AND quote_volume < 'Infinity' "
            "AND trade_count >= 0",
            name="candles_amounts_are_finite",
        ),
    )
    op.create_index("candles_opened_at", "candles", ["opened_at"], postgresql_using="brin")


def _create_candle_gaps() -> None:
    op.create_table(
        "candle_gaps",
        *_key("symbol", "timeframe"),
        sa.Column("starts_at", INSTANT, primary_key=True),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("checked_at", INSTANT),
        sa.CheckConstraint("ends_at > starts_at", name="candle_gaps_are_not_empty"),
        sa.CheckConstraint("state IN ('open', 'verified_absent')", name="candle_gaps_state"),
        sa.CheckConstraint("attempts >= 0", name="candle_gaps_attempts"),
    )
    op.create_index(
        "candle_gaps_open", "candle_gaps", ["symbol", "timeframe"], postgresql_where=sa.text("state = 'open'")
    )


def _create_sync_status() -> None:
    op.create_table(
        "sync_status",
        *_key("symbol", "timeframe"),
        *[sa.Column(name, INSTANT) for name in ("oldest_at", "newest_at", "wanted_from")],
        sa.Column("candle_count", sa.BigInteger, nullable=False),
        *[sa.Column(name, INSTANT) for name in ("synced_at", "audited_at")],
        sa.Column("error", sa.Text),
        sa.Column("consecutive_failures", sa.Integer, nullable=False),
        sa.CheckConstraint("(oldest_at IS NULL) = (newest_at IS NULL)", name="sync_status_has_both_ends"),
        sa.CheckConstraint("oldest_at <= newest_at", name="sync_status_ends_in_order"),
        sa.CheckConstraint("candle_count >= 0 AND consecutive_failures >= 0", name="sync_status_counts"),
    )


def _create_symbols() -> None:
    op.create_table(
        "symbols",
        *_key("name"),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("base", "quote", "asset_group", "status")],
        *[sa.Column(name, sa.Numeric) for name in ("price_step", "quantity_step", "min_quantity", "min_notional")],
        *[sa.Column(name, INSTANT, nullable=False) for name in ("status_since", "refreshed_at")],
        sa.CheckConstraint("asset_group IN ('main', 'alt', 'other')", name="symbols_asset_group"),
        sa.CheckConstraint("status IN ('trading', 'halted', 'delisted')", name="symbols_status"),
        sa.CheckConstraint(
            "price_step > 0 AND quantity_step > 0 AND min_quantity >= 0 AND min_notional >= 0",
            name="symbols_filters",
        ),
    )


def downgrade() -> None:
    """Remove the tables."""
    for table in ("symbols", "sync_status", "candle_gaps", "candles"):
        op.drop_table(table)
