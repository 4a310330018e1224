"""Measured performance in PostgreSQL, and the entries that it is measured of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.portfolio_rows import ADJUSTMENTS, FILLS, load_opening, to_adjustment, to_booked
from lib.adapters.database.tables.performance import PERFORMANCE_SNAPSHOTS
from lib.performance.performance import Performance
from lib.performance.trades import Entries
from lib.performance.trend import TrendPoint

TREND = [PERFORMANCE_SNAPSHOTS.c[one.name] for one in fields(TrendPoint)]


@dataclass(frozen=True)
class DatabasePerformance:
    """A `PerformanceStore`."""

    engine: Engine

    def load_entries(self, account: str) -> Entries:
        """See `PerformanceStore`."""
        with database_errors(f"reading the ledger of {account}"), self.engine.connect() as connection:
            # One view of all three: an import may commit between two of these reads.
            connection.execution_options(isolation_level="REPEATABLE READ")
            fills = connection.execute(select(FILLS).where(FILLS.c.account == account))
            adjustments = connection.execute(select(ADJUSTMENTS).where(ADJUSTMENTS.c.account == account))
            return Entries(
                [to_booked(row) for row in fills],
                [to_adjustment(row) for row in adjustments],
                load_opening(connection, account),
            )

    def save_performance(self, measured: Sequence[Performance], at: datetime) -> None:
        """See `PerformanceStore`."""
        with database_errors("storing the performance"), self.engine.begin() as connection:
            for one in measured:
                row = _to_row(one, at)
                connection.execute(
                    upsert(PERFORMANCE_SNAPSHOTS)
                    .values(row)
                    .on_conflict_do_update(constraint=PERFORMANCE_SNAPSHOTS.primary_key, set_=row)
                )

    def load_trend(self, account: str, days: int, last_days: Sequence[date]) -> Sequence[TrendPoint]:
        """See `PerformanceStore`."""
        table = PERFORMANCE_SNAPSHOTS.c
        wanted = table.account == account, table.days == days, table.last_day.in_(last_days)
        with database_errors("reading the measured performance"), self.engine.connect() as connection:
            rows = connection.execute(select(*TREND).where(*wanted).order_by(table.last_day.desc()))
            return [TrendPoint(*row) for row in rows]


def _to_row(one: Performance, at: datetime) -> dict[str, Any]:
    """Return every column; null for what is not known, also where the row is there already."""
    stretch, measures, trades = one.stretch, one.measures, one.trades
    if stretch is None:
        raise ValueError(f"Expected a performance of {one.scope.name} with equity, was one without.")
    decline = measures.decline
    return {
        "account": one.scope.account,
        "days": one.period.days,
        "last_day": one.period.last_day,
        "calculated_at": at,
        "quote_asset": one.scope.quote_asset,
        "known_days": one.known_days,
        "benchmark_return": one.benchmark_return,
        "max_drawdown": decline.depth if decline else None,
        "drawdown_days": decline.length if decline else None,
        **vars(stretch),
        "profit": stretch.profit,
        **{name: getattr(measures, name) for name in ("total_return", "average_return", "volatility")},
        **{name: getattr(measures, name) for name in ("sharpe", "sortino", "calmar")},
        **vars(trades),
        "win_rate": trades.win_rate,
        "profit_factor": trades.profit_factor,
    }
