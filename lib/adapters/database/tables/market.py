"""Tables of market data. Every instant is UTC; every price is quote per base.

Candles and what is known about them carry natural keys, so that writing twice is writing once.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Double, Index, Integer, Numeric, Table, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class CandleRow(SQLModel, table=True):
    """One closed candle. Volume is in base, quote_volume in quote.

    The checks repeat `lib.market.candles.find_impossibility` as far as one row can tell; PostgreSQL sorts NaN above
    infinity, so ``< 'Infinity'`` refuses both.
    """

    __tablename__ = "candles"
    __table_args__: ClassVar = (
        CheckConstraint("low > 0 AND high < 'Infinity'", name="candles_prices_are_finite"),
        CheckConstraint("low <= LEAST(open, close) AND high >= GREATEST(open, close)", name="candles_range_encloses"),
        CheckConstraint(
            "volume >= 0 AND volume < 'Infinity' AND quote_volume >= 0 AND quote_volume < 'Infinity' "
            "AND trade_count >= 0",
            name="candles_amounts_are_finite",
        ),
        # For scans over all series by time. PostgreSQL 18 skips through the key for those; older servers cannot. A
        # block range index takes kilobytes and 2 % of an upsert, a tree would take 12 %.
        Index("candles_opened_at", "opened_at", postgresql_using="brin"),
    )

    symbol: str = Field(primary_key=True, sa_type=Text)
    timeframe: str = Field(primary_key=True, sa_type=Text)
    opened_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    open: float = Field(sa_type=Double)
    high: float = Field(sa_type=Double)
    low: float = Field(sa_type=Double)
    close: float = Field(sa_type=Double)
    volume: float = Field(sa_type=Double)
    quote_volume: float | None = Field(None, sa_type=Double)
    trade_count: int | None = Field(None, sa_type=BigInteger)


class CandleGapRow(SQLModel, table=True):
    """A run of candles that are not stored: from `starts_at` (open time of the first) to `ends_at` (exclusive).

    `open` is asked for again; `verified_absent` is what the exchange itself does not have, and is never asked again;
    `archived` is what `archive_old_data` moved to the archive.
    `attempts` counts the valid answers that lacked it.
    """

    __tablename__ = "candle_gaps"
    __table_args__: ClassVar = (
        CheckConstraint("ends_at > starts_at", name="candle_gaps_are_not_empty"),
        CheckConstraint("state IN ('open', 'verified_absent', 'archived')", name="candle_gaps_state"),
        CheckConstraint("attempts >= 0", name="candle_gaps_attempts"),
        # A cycle reads the open ones only; the verified ones grow with history.
        Index("candle_gaps_open", "symbol", "timeframe", postgresql_where="state = 'open'"),
    )

    symbol: str = Field(primary_key=True, sa_type=Text)
    timeframe: str = Field(primary_key=True, sa_type=Text)
    starts_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    ends_at: datetime = Field(sa_type=INSTANT)
    state: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=Integer)
    found_at: datetime = Field(sa_type=INSTANT)
    checked_at: datetime | None = Field(None, sa_type=INSTANT)


class SyncStatusRow(SQLModel, table=True):
    """What is stored of one series (symbol x timeframe), and how its last synchronisation went.

    `wanted_from` is the start of the history that was asked for; between it and `newest_at` every candle is stored or
    covered by a row of `candle_gaps`. `audited_at` is when that was last checked against the candles themselves.
    """

    __tablename__ = "sync_status"
    __table_args__: ClassVar = (
        CheckConstraint("(oldest_at IS NULL) = (newest_at IS NULL)", name="sync_status_has_both_ends"),
        CheckConstraint("oldest_at <= newest_at", name="sync_status_ends_in_order"),
        CheckConstraint("candle_count >= 0 AND consecutive_failures >= 0", name="sync_status_counts"),
    )

    symbol: str = Field(primary_key=True, sa_type=Text)
    timeframe: str = Field(primary_key=True, sa_type=Text)
    oldest_at: datetime | None = Field(None, sa_type=INSTANT)
    newest_at: datetime | None = Field(None, sa_type=INSTANT)
    wanted_from: datetime | None = Field(None, sa_type=INSTANT)
    candle_count: int = Field(sa_type=BigInteger)
    synced_at: datetime | None = Field(None, sa_type=INSTANT)
    audited_at: datetime | None = Field(None, sa_type=INSTANT)
    error: str | None = Field(None, sa_type=Text)
    consecutive_failures: int = Field(sa_type=Integer)


class SymbolRow(SQLModel, table=True):
    """One spot market. A symbol we were asked for and the exchange does not have is `delisted`, without filters."""

    __tablename__ = "symbols"
    __table_args__: ClassVar = (
        CheckConstraint("asset_group IN ('main', 'alt', 'other')", name="symbols_asset_group"),
        CheckConstraint("status IN ('trading', 'halted', 'delisted')", name="symbols_status"),
        CheckConstraint(
            "price_step > 0 AND quantity_step > 0 AND min_quantity >= 0 AND min_notional >= 0",
            name="symbols_filters",
        ),
    )

    name: str = Field(primary_key=True, sa_type=Text)
    base: str = Field(sa_type=Text)
    quote: str = Field(sa_type=Text)
    asset_group: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    price_step: Decimal | None = Field(None, sa_type=Numeric)
    quantity_step: Decimal | None = Field(None, sa_type=Numeric)
    min_quantity: Decimal | None = Field(None, sa_type=Numeric)
    min_notional: Decimal | None = Field(None, sa_type=Numeric)
    status_since: datetime = Field(sa_type=INSTANT)
    refreshed_at: datetime = Field(sa_type=INSTANT)


CANDLES: Table = SQLModel.metadata.tables["candles"]
CANDLE_GAPS: Table = SQLModel.metadata.tables["candle_gaps"]
SYNC_STATUS: Table = SQLModel.metadata.tables["sync_status"]
SYMBOLS: Table = SQLModel.metadata.tables["symbols"]
