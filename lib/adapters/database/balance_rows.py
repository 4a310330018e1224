"""Rows of the tables of balances as records of `lib.balances`, and back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.balances import (
    BalanceSnapshotRow,
    BreakRow,
    CashFlowImportRow,
    CashFlowRow,
    OpeningBalanceRow,
)
from lib.balances.breaks import Break, BreakState, Difference
from lib.balances.flows import CashFlow, FlowKind, FlowSource, ValuedFlow
from lib.balances.snapshots import Snapshot

SNAPSHOTS = table_of(BalanceSnapshotRow)
FLOWS = table_of(CashFlowRow)
ASKED = table_of(CashFlowImportRow)
OPENINGS = table_of(OpeningBalanceRow)
BREAKS = table_of(BreakRow)


def to_snapshot(row: Row[Any]) -> Snapshot:
    """Return the snapshot of a row of `balance_history`."""
    values = dict(row._mapping)
    return Snapshot(**values | {"unpriced": tuple(values["unpriced"])})


def from_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    """Return the row of a snapshot."""
    return asdict(snapshot) | {"unpriced": list(snapshot.unpriced)}


def to_flow(row: Row[Any]) -> ValuedFlow:
    """Return the flow of a row of `cash_flows`."""
    flow = CashFlow(
        account=row.account,
        flow_id=row.flow_id,
        kind=FlowKind(row.kind),
        asset=row.asset,
        amount=row.amount,
        at=row.at,
        is_booked=row.is_booked,
        source=FlowSource(row.source),
        note=row.note,
    )
    return ValuedFlow(flow, row.value_quote, row.priced_by, row.counted_at)


def from_flow(one: ValuedFlow, recorded_at: datetime) -> dict[str, Any]:
    """Return the row of a flow."""
    return asdict(one.flow) | {
        "kind": one.flow.kind.value,
        "source": one.flow.source.value,
        "value_quote": one.value_quote,
        "priced_by": one.priced_by,
        "counted_at": one.counted_at,
        "recorded_at": recorded_at,
    }


def to_break(row: Row[Any]) -> Break:
    """Return the break of a row of `breaks`."""
    return Break(
        account=row.account,
        difference=Difference(row.asset, row.expected, row.actual, row.value_quote),
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        state=BreakState(row.state),
        why=row.why,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )


def from_break(one: Break) -> dict[str, Any]:
    """Return the row of a break."""
    return {
        "account": one.account,
        "asset": one.asset,
        "first_seen_at": one.first_seen_at,
        "last_seen_at": one.last_seen_at,
        "opened_at": one.opened_at,
        "closed_at": one.closed_at,
        "state": one.state.value,
        "expected": one.difference.expected,
        "actual": one.difference.actual,
        "difference": one.difference.amount,
        "value_quote": one.difference.value_quote,
        "why": one.why,
    }
