"""The history of accounts' equity in PostgreSQL, with what was paid in and out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, func, select

from lib.adapters.database.engine import database_errors
from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.balances import BalanceSnapshotRow, CashFlowRow
from lib.balances.flows import FlowKind
from lib.risk.drawdown import EquityPoint

SNAPSHOTS = table_of(BalanceSnapshotRow)
FLOWS = table_of(CashFlowRow)
CAPITAL = (FlowKind.DEPOSIT.value, FlowKind.WITHDRAWAL.value)


@dataclass(frozen=True)
class DatabaseEquity:
    """An `EquityStore`.

    Equity is what the ledger explains, as for the profit of a day: a deposit that is found out later is neither a peak
    nor a fall. Snapshots of which a position had no price are left out: what is missing in them is no loss.
    """

    engine: Engine

    def load_equity(self, account: str, since: datetime) -> Sequence[EquityPoint]:
        """Return the points of an account from an instant on, rising in time.

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
        """
        snapshots = (
            select(SNAPSHOTS.c.at, (SNAPSHOTS.c.equity - SNAPSHOTS.c.unexplained_value).label("equity"))
            .where(SNAPSHOTS.c.account == account, SNAPSHOTS.c.at >= since)
            .where(func.array_to_string(SNAPSHOTS.c.unpriced, " ").not_like("%/%"))
            .order_by(SNAPSHOTS.c.at)
        )
        flows = (
            select(FLOWS.c.counted_at, func.sum(FLOWS.c.value_quote).label("value_quote"))
            .where(FLOWS.c.account == account, FLOWS.c.counted_at >= since, FLOWS.c.kind.in_(CAPITAL))
            .group_by(FLOWS.c.counted_at)
        )
        with database_errors(f"reading the equity of {account}"), self.engine.connect() as connection:
            points = connection.execute(snapshots).all()
            counted = connection.execute(flows).all()
        instants = [point.at for point in points]
        net = [Decimal(0)] * (len(points) + 1)
        for flow in counted:
            net[bisect_left(instants, flow.counted_at)] += flow.value_quote
        return [EquityPoint(point.at, point.equity, flow) for point, flow in zip(points, net, strict=False)]
