"""Tables of indicators. Every instant is UTC."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Double, Table, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class IndicatorRow(SQLModel, table=True):
    """The standard indicators of one closed candle; null in their warm-up. Prices are quote per base.

    `close` is that of the candle they were computed from: a row with another one is of a candle that has changed since.
    `rsi_14` is 0 to 100, everything else is in quote. Definitions: `lib.indicators.kernels`.
    """

    __tablename__ = "indicators"

    symbol: str = Field(primary_key=True, sa_type=Text)
    timeframe: str = Field(primary_key=True, sa_type=Text)
    opened_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    close: float = Field(sa_type=Double)
    rsi_14: float | None = Field(None, sa_type=Double)
    macd: float | None = Field(None, sa_type=Double)
    macd_signal: float | None = Field(None, sa_type=Double)
    macd_histogram: float | None = Field(None, sa_type=Double)
    bollinger_lower: float | None = Field(None, sa_type=Double)
    bollinger_middle: float | None = Field(None, sa_type=Double)
    bollinger_upper: float | None = Field(None, sa_type=Double)
    atr_14: float | None = Field(None, sa_type=Double)
    sma_20: float | None = Field(None, sa_type=Double)
    sma_50: float | None = Field(None, sa_type=Double)
    sma_200: float | None = Field(None, sa_type=Double)
    ema_12: float | None = Field(None, sa_type=Double)
    ema_26: float | None = Field(None, sa_type=Double)


class IndicatorStateRow(SQLModel, table=True):
    """How far the indicators of a series are computed, and from what.

    `digest` is of the candles from `watched_from` to `computed_to` (open times); when theirs is another one now, a
    candle among them has changed, come late or gone. `begins_at` is the oldest candle that was there when fewer were
    than the smoothing wants before `watched_from`, else null.
    """

    __tablename__ = "indicator_states"
    __table_args__: ClassVar = (
        CheckConstraint("watched_from <= computed_to", name="indicator_states_in_order"),
        CheckConstraint("begins_at <= watched_from", name="indicator_states_begin_before"),
    )

    symbol: str = Field(primary_key=True, sa_type=Text)
    timeframe: str = Field(primary_key=True, sa_type=Text)
    watched_from: datetime = Field(sa_type=INSTANT)
    computed_to: datetime = Field(sa_type=INSTANT)
    begins_at: datetime | None = Field(None, sa_type=INSTANT)
    digest: int = Field(sa_type=BigInteger)


INDICATORS: Table = SQLModel.metadata.tables["indicators"]
INDICATOR_STATES: Table = SQLModel.metadata.tables["indicator_states"]
