"""Risk snapshots and alarms in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.risk import RiskAlarmRow, RiskSnapshotRow
from lib.notifications.messages import Message
from lib.risk.alarm import RiskAlarm
from lib.risk.measures import RiskMeasures
from lib.risk.rules import Cause, FiredRule, Rule
from lib.risk.stores import RiskSnapshot

SNAPSHOTS = table_of(RiskSnapshotRow)
ALARMS = table_of(RiskAlarmRow)
RISK_LOCK = 0x524B  # "RK": the class of the advisory locks of accounts' risk


class DatabaseRisk:
    """The `RiskStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def open_risk(self, account: str) -> Iterator[DatabaseRiskBook]:
        """See `RiskStore`."""
        with database_errors(f"storing the risk of {account}"), self._engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(RISK_LOCK, func.hashtext(account))))
            yield DatabaseRiskBook(connection, account)


class DatabaseRiskBook:
    """The `RiskBook` of an open transaction."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account

    def load_alarm(self) -> RiskAlarm:
        """See `RiskBook`."""
        row = self._connection.execute(select(ALARMS).where(ALARMS.c.account == self._account)).one_or_none()
        if row is None:
            return RiskAlarm()
        return RiskAlarm(row.raised_at, row.alerted_at, frozenset(map(_to_cause, row.told)), row.alerts)

    def record(self, message: Message) -> bool:
        """See `RiskBook`."""
        return record_message(self._connection, message)

    def save(self, snapshot: RiskSnapshot) -> None:
        """See `RiskBook`."""
        row = _to_row(snapshot)
        self._connection.execute(
            upsert(SNAPSHOTS).values(row).on_conflict_do_update(constraint=SNAPSHOTS.primary_key, set_=row)
        )
        alarm = snapshot.alarm
        told = {
            "raised_at": alarm.raised_at,
            "alerted_at": alarm.alerted_at,
            "told": sorted(f"{rule}:{symbol}" if symbol else rule.value for rule, symbol in alarm.told),
            "alerts": alarm.alerts,
        }
        self._connection.execute(
            upsert(ALARMS)
            .values({"account": self._account} | told)
            .on_conflict_do_update(constraint=ALARMS.primary_key, set_=told)
        )


def _to_cause(told: str) -> Cause:
    """Read ``position:SOL/USDT``, or a rule alone."""
    rule, _, symbol = told.partition(":")
    return Cause(Rule(rule), symbol or None)


def _to_row(snapshot: RiskSnapshot) -> dict[str, Any]:
    state, assessment = snapshot.state, snapshot.assessment
    symbol, share = next(iter(assessment.shares.items()), (None, None))
    return {
        "account": state.account,
        "at": snapshot.at,
        "state_at": state.at,
        "level": assessment.level.value,
        "fired": [_to_object(one) for one in assessment.fired],
        "equity": state.equity,
        "market_value": state.market_value,
        "unrealized_pnl": state.unrealized_pnl,
        "exposure_ratio": assessment.exposure_ratio,
        "loss_ratio": assessment.loss_ratio,
        "largest_symbol": symbol,
        "largest_share": share,
        "unpriced": [*assessment.unpriced_positions, *assessment.unpriced_assets],
        **_to_measures(snapshot.measures),
    }


def _to_object(fired: FiredRule) -> dict[str, Any]:
    return {
        "rule": fired.rule.value,
        "level": fired.level.value,
        "value": f"{fired.value:f}",
        "limit": f"{fired.limit:f}",
        "symbol": fired.symbol,
    }


def _to_measures(measures: RiskMeasures) -> dict[str, Any]:
    """Every column of the measures; null for what is not known, also where the row is there already."""
    risk, drawdown, table = measures.value_at_risk, measures.drawdown, measures.correlations
    highest = table.highest if table else None
    return {
        "var_95": risk.tail_95.value_at_risk if risk else None,
        "shortfall_95": risk.tail_95.expected_shortfall if risk else None,
        "var_99": risk.tail_99.value_at_risk if risk else None,
        "shortfall_99": risk.tail_99.expected_shortfall if risk else None,
        "var_days": risk.days if risk else None,
        "worst_day": risk.worst_day if risk else None,
        "worst_loss": risk.worst_loss if risk else None,
        "drawdown_ratio": drawdown.ratio if drawdown else None,
        "worst_drawdown_ratio": drawdown.worst_ratio if drawdown else None,
        "peak_at": drawdown.peak_at if drawdown else None,
        "average_correlation": table.average if table else None,
        "highest_correlation": highest.correlation if highest else None,
        "highest_first": highest.first if highest else None,
        "highest_second": highest.second if highest else None,
    }
