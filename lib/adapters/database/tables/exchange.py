"""Tables of the exchange edge: which exchange this is, and what it may still be asked."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Boolean, CheckConstraint, DateTime, Integer, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class MarketSourceRow(SQLModel, table=True):
    """Where every candle, price and signal of this database comes from; one row, written by the first who opens it."""

    __tablename__ = "market_source"
    __table_args__: ClassVar = (CheckConstraint("id = 1", name="market_source_is_one"),)

    id: int = Field(1, primary_key=True, sa_type=Integer)
    name: str = Field(sa_type=Text)
    registered_at: datetime = Field(sa_type=INSTANT)


class ExchangeBudgetRow(SQLModel, table=True):
    """What all processes of this address may still ask one exchange.

    `exchange` is its host ("api.binance.com"), since limits are kept by host and address. `used_weight` is the weight
    taken in the minute from `window_started_at`, or what the exchange says where it knows of more. Until
    `paused_until` nobody sends (`banned`: by a 418, else by a 429); `refusals` counts the pauses in a row.
    """

    __tablename__ = "exchange_budget"
    __table_args__: ClassVar = (
        CheckConstraint("used_weight >= 0", name="exchange_budget_weights"),
        CheckConstraint("refusals >= 0", name="exchange_budget_refusals"),
    )

    exchange: str = Field(primary_key=True, sa_type=Text)
    window_started_at: datetime = Field(sa_type=INSTANT)
    used_weight: int = Field(sa_type=Integer)
    paused_until: datetime | None = Field(None, sa_type=INSTANT)
    banned: bool = Field(False, sa_type=Boolean)
    refusals: int = Field(0, sa_type=Integer)
