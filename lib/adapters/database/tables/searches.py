"""The table of searches. Every instant is UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

INSTANT = DateTime(timezone=True)
VERSION = ["strategy_parameters.strategy", "strategy_parameters.version"]


class BacktestRunRow(SQLModel, table=True):
    """One search of a strategy's parameters on the days of a window; made again, it takes the place of the first.

    `scope` names the symbols that it was restricted to, empty for all that are kept. `parameters` are the best of
    those that were tried; they are a candidate's where `candidate_version` is not null.
    """

    __tablename__ = "backtest_runs"
    __table_args__: ClassVar = (
        CheckConstraint("window_starts_at < window_ends_at", name="backtest_runs_window"),
        ForeignKeyConstraint(["strategy", "in_force_version"], VERSION, name="backtest_runs_in_force"),
        ForeignKeyConstraint(["strategy", "candidate_version"], VERSION, name="backtest_runs_candidate"),
    )

    strategy: str = Field(primary_key=True, sa_type=Text, foreign_key="strategies.name")
    window_ends_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    scope: str = Field(primary_key=True, sa_type=Text)
    window_starts_at: datetime = Field(sa_type=INSTANT)
    in_force_version: int = Field(sa_type=Integer)
    candidate_version: int | None = Field(None, sa_type=Integer)
    parameters: dict[str, Any] = Field(sa_type=JSONB)
    metrics: dict[str, Any] = Field(sa_type=JSONB)
    code_version: str = Field(sa_type=Text)
    searched_at: datetime = Field(sa_type=INSTANT)


BACKTEST_RUNS: Table = SQLModel.metadata.tables["backtest_runs"]
