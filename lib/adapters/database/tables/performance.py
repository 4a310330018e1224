"""Tables of performance. Every instant is UTC; every amount is in `quote_asset`."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

from sqlalchemy import CheckConstraint, Date, DateTime, Double, Integer, Numeric, Table, Text
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class PerformanceSnapshotRow(SQLModel, table=True):
    """How an account (empty: all together) did in the `days` UTC days that end with `last_day`.

    Ratios are 0.01 for 1 %; null is not enough data, or not defined. `known_days`: of the period, those with a
    snapshot. `drawdown_days`: from the peak until it was reached again, or until the last day. Fees have no
    sign, a gross loss is at or below zero.
    """

    __tablename__ = "performance_snapshots"
    __table_args__: ClassVar = (
        CheckConstraint("days > 0 AND known_days >= 0", name="performance_snapshots_days"),
        CheckConstraint("began_at <= ended_at", name="performance_snapshots_stretch"),
        CheckConstraint("max_drawdown BETWEEN -1 AND 0", name="performance_snapshots_drawdown"),
        CheckConstraint("wins BETWEEN 0 AND trades AND trades <= orders", name="performance_snapshots_trades"),
        CheckConstraint("gross_profit >= 0 AND gross_loss <= 0", name="performance_snapshots_gross"),
    )

    account: str = Field(primary_key=True, sa_type=Text)
    days: int = Field(primary_key=True, sa_type=Integer)
    last_day: date = Field(primary_key=True, sa_type=Date)
    calculated_at: datetime = Field(sa_type=INSTANT)
    quote_asset: str = Field(sa_type=Text)
    began_at: datetime = Field(sa_type=INSTANT)
    ended_at: datetime = Field(sa_type=INSTANT)
    known_days: int = Field(sa_type=Integer)
    opening_equity: Decimal = Field(sa_type=Numeric)
    closing_equity: Decimal = Field(sa_type=Numeric)
    net_flows: Decimal = Field(sa_type=Numeric)
    profit: Decimal = Field(sa_type=Numeric)
    total_return: float | None = Field(None, sa_type=Double)
    benchmark_return: float | None = Field(None, sa_type=Double)
    average_return: float | None = Field(None, sa_type=Double)
    volatility: float | None = Field(None, sa_type=Double)
    sharpe: float | None = Field(None, sa_type=Double)
    sortino: float | None = Field(None, sa_type=Double)
    max_drawdown: float | None = Field(None, sa_type=Double)
    drawdown_days: int | None = Field(None, sa_type=Integer)
    calmar: float | None = Field(None, sa_type=Double)
    orders: int = Field(sa_type=Integer)
    trades: int = Field(sa_type=Integer)
    wins: int = Field(sa_type=Integer)
    gross_profit: Decimal = Field(sa_type=Numeric)
    gross_loss: Decimal = Field(sa_type=Numeric)
    win_rate: float | None = Field(None, sa_type=Double)
    profit_factor: float | None = Field(None, sa_type=Double)
    fees: Decimal = Field(sa_type=Numeric)


class ReportRow(SQLModel, table=True):
    """A report that was written; the newest of its kind, account (empty: all together) and last day.

    `path` is its HTML file, null where it could not be written. `flaws`: what is missing in it, and why.
    """

    __tablename__ = "reports"
    __table_args__: ClassVar = (
        CheckConstraint("report_type IN ('daily', 'weekly', 'monthly')", name="reports_report_type"),
    )

    report_type: str = Field(primary_key=True, sa_type=Text)
    account: str = Field(primary_key=True, sa_type=Text)
    last_day: date = Field(primary_key=True, sa_type=Date)
    created_at: datetime = Field(sa_type=INSTANT)
    headline: str = Field(sa_type=Text)
    markdown: str = Field(sa_type=Text)
    path: str | None = Field(None, sa_type=Text)
    flaws: str = Field(sa_type=Text)


PERFORMANCE_SNAPSHOTS: Table = SQLModel.metadata.tables["performance_snapshots"]
REPORTS: Table = SQLModel.metadata.tables["reports"]
