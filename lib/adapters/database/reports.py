"""What there is to report, and the reports that were written, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.balance_rows import SNAPSHOTS, to_snapshot
from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.market import CANDLE_GAPS, SYNC_STATUS
from lib.adapters.database.tables.performance import REPORTS
from lib.adapters.database.tables.risk import RiskSnapshotRow
from lib.adapters.database.tables.strategies import SIGNALS
from lib.balances.snapshots import Snapshot
from lib.market.timeframes import width_of
from lib.notifications.messages import Message
from lib.reporting.stores import BuySignal, RiskLine, SignalCount, StoredTimeframe, WrittenReport
from lib.strategy.stores import Action

RISKS = table_of(RiskSnapshotRow)
BUY_COLUMNS = ("created_at", "strategy", "symbol", "timeframe", "price", "stop_loss", "take_profit", "confidence")
DECISIONS = text("""
    SELECT count(*) AS decisions, count(*) FILTER (WHERE action = 'buy') AS buys
    FROM signals WHERE created_at >= :start AND created_at < :end
""")


@dataclass(frozen=True)
class DatabaseReports:
    """A `ReportStore`."""

    engine: Engine

    def load_last_balance(self, account: str) -> Snapshot | None:
        """See `ReportStore`."""
        newest = select(SNAPSHOTS).where(SNAPSHOTS.c.account == account).order_by(SNAPSHOTS.c.at.desc()).limit(1)
        with database_errors(f"reading the last balance of {account}"), self.engine.connect() as connection:
            row = connection.execute(newest).one_or_none()
        return to_snapshot(row) if row else None

    def load_risk(self, account: str) -> RiskLine | None:
        """See `ReportStore`."""
        newest = select(RISKS).where(RISKS.c.account == account).order_by(RISKS.c.at.desc()).limit(1)
        with database_errors(f"reading the risk of {account}"), self.engine.connect() as connection:
            row = connection.execute(newest).one_or_none()
        if row is None:
            return None
        return RiskLine(
            account=account,
            at=row.at,
            level=row.level,
            fired=tuple(_name_rule(one) for one in row.fired),
            exposure_ratio=row.exposure_ratio,
            loss_ratio=row.loss_ratio,
            largest_symbol=row.largest_symbol,
            largest_share=row.largest_share,
            var_95=row.var_95,
            drawdown_ratio=row.drawdown_ratio,
        )

    def load_signals(self, start: datetime, end: datetime, limit: int) -> SignalCount:
        """See `ReportStore`."""
        is_then = SIGNALS.c.created_at >= start, SIGNALS.c.created_at < end
        newest = (
            select(*(SIGNALS.c[name] for name in BUY_COLUMNS))
            .where(*is_then, SIGNALS.c.action == Action.BUY.value)
            .order_by(SIGNALS.c.created_at.desc(), SIGNALS.c.strategy, SIGNALS.c.symbol)
            .limit(limit)
        )
        with database_errors("reading signals"), self.engine.connect() as connection:
            counts = connection.execute(DECISIONS, {"start": start, "end": end}).one()
            buys = tuple(BuySignal(*row) for row in connection.execute(newest))
        return SignalCount(counts.buys, counts.decisions, buys)

    def load_timeframes(self) -> Sequence[StoredTimeframe]:
        """See `ReportStore`."""
        columns = [SYNC_STATUS.c[name] for name in ("symbol", "timeframe", "newest_at", "error")]
        gaps = select(CANDLE_GAPS.c.timeframe, func.count(CANDLE_GAPS.c.symbol.distinct()).label("series")).where(
            CANDLE_GAPS.c.state == "open"
        )
        with database_errors("reading how fresh candles are"), self.engine.connect() as connection:
            rows = connection.execute(select(*columns).order_by(SYNC_STATUS.c.symbol)).mappings().all()
            open_gaps = {
                row.timeframe: row.series for row in connection.execute(gaps.group_by(CANDLE_GAPS.c.timeframe))
            }
        by_timeframe: dict[str, list[Mapping[Any, Any]]] = {}
        for row in rows:
            by_timeframe.setdefault(row["timeframe"], []).append(row)
        return [
            _to_timeframe(name, by_timeframe[name], open_gaps.get(name, 0))
            for name in sorted(by_timeframe, key=width_of)
        ]

    def save_report(self, report: WrittenReport, message: Message) -> bool:
        """See `ReportStore`."""
        row = asdict(report) | {"report_type": report.kind, "flaws": "\n".join(report.flaws)}
        del row["kind"]
        with database_errors("storing a report"), self.engine.begin() as connection:
            connection.execute(
                upsert(REPORTS).values(row).on_conflict_do_update(constraint=REPORTS.primary_key, set_=row)
            )
            return record_message(connection, message)


def _name_rule(fired: Mapping[str, Any]) -> str:
    return f"{fired['rule']} {fired['symbol']}" if fired["symbol"] else str(fired["rule"])


def _to_timeframe(name: str, rows: Sequence[Mapping[Any, Any]], with_gaps: int) -> StoredTimeframe:
    return StoredTimeframe(
        timeframe=name,
        newest_at={row["symbol"]: row["newest_at"] for row in rows},
        failing=tuple(row["symbol"] for row in rows if row["error"] is not None),
        with_gaps=with_gaps,
    )
