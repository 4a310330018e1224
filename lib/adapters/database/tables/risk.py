"""Tables of risk. Every instant is UTC; every amount is in the account's quote asset.

Ratios are of equity, 0.85 for 85 %. What comes of the ledger is NUMERIC; what comes of candles' statistics is a double.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import ARRAY, CheckConstraint, Date, DateTime, Double, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)


class RiskSnapshotRow(SQLModel, table=True):
    """An account's risk at an instant.

    `state_at`: the oldest balance or price it is made of. `fired`: the rules that fired, as objects of rule, level,
    value, limit and symbol (numbers as text, so that no digit is lost). `exposure_ratio`, `loss_ratio` and
    `largest_share` are null where equity is not above zero. A loss is positive in `loss_ratio`, `var_*`, `shortfall_*`
    and `worst_loss`; a drawdown is at or below zero. What there was not enough data for is null.
    """

    __tablename__ = "risk_snapshots"
    __table_args__: ClassVar = (
        CheckConstraint("level IN ('NONE', 'LOW', 'MEDIUM', 'HIGH')", name="risk_snapshots_level"),
        CheckConstraint("drawdown_ratio <= 0 AND worst_drawdown_ratio <= 0", name="risk_snapshots_drawdown"),
        CheckConstraint(
            "(var_days IS NULL) = (var_95 IS NULL) AND (var_95 IS NULL) = (shortfall_95 IS NULL)"
            " AND (var_95 IS NULL) = (var_99 IS NULL) AND (var_95 IS NULL) = (shortfall_99 IS NULL)",
            name="risk_snapshots_value_at_risk",
        ),
    )

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    at: datetime = Field(primary_key=True, sa_type=INSTANT)
    state_at: datetime = Field(sa_type=INSTANT)
    level: str = Field(sa_type=Text)
    fired: list[dict[str, Any]] = Field(sa_type=JSONB)
    equity: Decimal = Field(sa_type=Numeric)
    market_value: Decimal = Field(sa_type=Numeric)
    unrealized_pnl: Decimal = Field(sa_type=Numeric)
    exposure_ratio: Decimal | None = Field(None, sa_type=Numeric)
    loss_ratio: Decimal | None = Field(None, sa_type=Numeric)
    largest_symbol: str | None = Field(None, sa_type=Text)
    largest_share: Decimal | None = Field(None, sa_type=Numeric)
    unpriced: list[str] = Field(sa_type=ARRAY(Text))
    var_95: float | None = Field(None, sa_type=Double)
    shortfall_95: float | None = Field(None, sa_type=Double)
    var_99: float | None = Field(None, sa_type=Double)
    shortfall_99: float | None = Field(None, sa_type=Double)
    var_days: int | None = Field(None, sa_type=Integer)
    worst_day: date | None = Field(None, sa_type=Date)
    worst_loss: float | None = Field(None, sa_type=Double)
    drawdown_ratio: Decimal | None = Field(None, sa_type=Numeric)
    worst_drawdown_ratio: Decimal | None = Field(None, sa_type=Numeric)
    peak_at: datetime | None = Field(None, sa_type=INSTANT)
    average_correlation: float | None = Field(None, sa_type=Double)
    highest_correlation: float | None = Field(None, sa_type=Double)
    highest_first: str | None = Field(None, sa_type=Text)
    highest_second: str | None = Field(None, sa_type=Text)


class RiskAlarmRow(SQLModel, table=True):
    """What people were told about an account's risk: see `lib.risk.alarm.RiskAlarm`.

    `told`: rules, with the symbol where one is about one asset: "exposure", "position:SOL/USDT".
    """

    __tablename__ = "risk_alarms"
    __table_args__: ClassVar = (CheckConstraint("alerts >= 0", name="risk_alarms_alerts"),)

    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    raised_at: datetime | None = Field(None, sa_type=INSTANT)
    alerted_at: datetime | None = Field(None, sa_type=INSTANT)
    told: list[str] = Field(sa_type=ARRAY(Text))
    alerts: int = Field(sa_type=Integer)
