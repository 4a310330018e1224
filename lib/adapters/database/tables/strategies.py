"""Tables of strategies, their parameters and their signals. Every instant is UTC; every price is quote per base."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, DateTime, Double, ForeignKeyConstraint, Index, Integer, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)
STATES = "state IN ('active', 'pinned', 'disabled')"


class StrategyRow(SQLModel, table=True):
    """One strategy as it stands. `pinned`: active whatever validation says. A row is never removed.

    `revision` counts its changes; each is kept in `strategy_changes`.
    """

    __tablename__ = "strategies"
    __table_args__: ClassVar = (
        CheckConstraint(STATES, name="strategies_state"),
        CheckConstraint("revision >= 1", name="strategies_revision"),
    )

    name: str = Field(primary_key=True, sa_type=Text)
    state: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=INSTANT)
    revision: int = Field(sa_type=Integer)


class StrategyParametersRow(SQLModel, table=True):
    """One version of a strategy's parameters; they never change, only their state does.

    `candidate`: found by a search; `active`: what signals use, one a strategy; `retired`: was replaced or turned down.
    `metrics` and the window of the data (`window_starts_at`, `window_ends_at`) are null for defaults, which no data
    chose. `code_version` is of the strategy's file.
    """

    __tablename__ = "strategy_parameters"
    __table_args__: ClassVar = (
        CheckConstraint("state IN ('candidate', 'active', 'retired')", name="strategy_parameters_state"),
        CheckConstraint("version >= 1", name="strategy_parameters_version"),
        CheckConstraint(
            "(window_starts_at IS NULL) = (window_ends_at IS NULL) AND window_starts_at < window_ends_at",
            name="strategy_parameters_window",
        ),
        Index("strategy_parameters_one_active", "strategy", unique=True, postgresql_where="state = 'active'"),
    )

    strategy: str = Field(primary_key=True, sa_type=Text, foreign_key="strategies.name")
    version: int = Field(primary_key=True, sa_type=Integer)
    state: str = Field(sa_type=Text)
    parameters: dict[str, Any] = Field(sa_type=JSONB)
    metrics: dict[str, Any] | None = Field(None, sa_type=JSONB)
    why: str = Field(sa_type=Text)
    window_starts_at: datetime | None = Field(None, sa_type=INSTANT)
    window_ends_at: datetime | None = Field(None, sa_type=INSTANT)
    code_version: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)


class StrategyChangeRow(SQLModel, table=True):
    """What a strategy was after each of its changes: its state, and the version of the parameters in force."""

    __tablename__ = "strategy_changes"
    __table_args__: ClassVar = (
        CheckConstraint(STATES, name="strategy_changes_state"),
        ForeignKeyConstraint(
            ["strategy", "version"],
            ["strategy_parameters.strategy", "strategy_parameters.version"],
            name="strategy_changes_parameters",
        ),
    )

    strategy: str = Field(primary_key=True, sa_type=Text)
    revision: int = Field(primary_key=True, sa_type=Integer)
    state: str = Field(sa_type=Text)
    version: int = Field(sa_type=Integer)
    why: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=INSTANT)


class SignalRow(SQLModel, table=True):
    """What a strategy said of a symbol when a candle closed, for all accounts. Never changed but for `alerted_at`.

    `price` is the candle's close, `confidence` 0 to 1, `version` that of the strategy's parameters. `alerted_at` is
    when its message was recorded.
    """

    __tablename__ = "signals"
    __table_args__: ClassVar = (
        CheckConstraint("action IN ('buy', 'hold')", name="signals_action"),
        CheckConstraint("price > 0 AND price < 'Infinity'", name="signals_price"),
        CheckConstraint(
            "action = 'hold' OR (stop_loss > 0 AND stop_loss < price AND take_profit > price "
            "AND take_profit < 'Infinity' AND confidence >= 0 AND confidence <= 1) IS TRUE",
            name="signals_levels",
        ),
        ForeignKeyConstraint(
            ["strategy", "version"],
            ["strategy_parameters.strategy", "strategy_parameters.version"],
            name="signals_parameters",
        ),
    )

    timeframe: str = Field(primary_key=True, sa_type=Text)
    opened_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    strategy: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(primary_key=True, sa_type=Text)
    action: str = Field(sa_type=Text)
    version: int = Field(sa_type=Integer)
    price: Decimal = Field(sa_type=Numeric)
    stop_loss: Decimal | None = Field(None, sa_type=Numeric)
    take_profit: Decimal | None = Field(None, sa_type=Numeric)
    confidence: float | None = Field(None, sa_type=Double)
    reasons: list[str] = Field(sa_type=JSONB)
    created_at: datetime = Field(sa_type=INSTANT)
    alerted_at: datetime | None = Field(None, sa_type=INSTANT)


class SignalSizeRow(SQLModel, table=True):
    """How much of a BUY an account could carry when it came. Never changed.

    `quantity` is base, zero when there is none; `verdict` is the limit that decided, or why there is none.
    """

    __tablename__ = "signal_sizes"
    __table_args__: ClassVar = (
        CheckConstraint("quantity >= 0 AND quantity < 'Infinity'", name="signal_sizes_quantity"),
        ForeignKeyConstraint(
            ["timeframe", "opened_at", "strategy", "symbol"],
            ["signals.timeframe", "signals.opened_at", "signals.strategy", "signals.symbol"],
            name="signal_sizes_signal",
        ),
    )

    timeframe: str = Field(primary_key=True, sa_type=Text)
    opened_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    strategy: str = Field(primary_key=True, sa_type=Text)
    symbol: str = Field(primary_key=True, sa_type=Text)
    account: str = Field(primary_key=True, sa_type=Text, foreign_key="accounts.name")
    quantity: Decimal = Field(sa_type=Numeric)
    verdict: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=INSTANT)


STRATEGIES: Table = SQLModel.metadata.tables["strategies"]
STRATEGY_PARAMETERS: Table = SQLModel.metadata.tables["strategy_parameters"]
STRATEGY_CHANGES: Table = SQLModel.metadata.tables["strategy_changes"]
SIGNALS: Table = SQLModel.metadata.tables["signals"]
SIGNAL_SIZES: Table = SQLModel.metadata.tables["signal_sizes"]
