"""Rows of the portfolio's tables as records of `lib.portfolio`, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Table, select
from sqlmodel import SQLModel

from lib.adapters.database.tables.balances import OpeningBalanceRow
from lib.adapters.database.tables.portfolio import AccountBalanceRow, FillRow, PositionAlarmRow, PositionRow
from lib.adapters.database.tables.reconciliation import LedgerAdjustmentRow
from lib.portfolio.adjustments import Adjustment, AdjustmentKind, Opening
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.fills import BookedFill, Fill, Side
from lib.portfolio.ledger import Position
from lib.portfolio.stores import HeldPosition
from lib.portfolio.valuation import Valuation


def table_of(row: type[SQLModel]) -> Table:
    """Return the table that a row class declares (SQLModel's own attribute for it has no type)."""
    return SQLModel.metadata.tables[str(row.__tablename__)]


BALANCES = table_of(AccountBalanceRow)
FILLS = table_of(FillRow)
POSITIONS = table_of(PositionRow)
ALARMS = table_of(PositionAlarmRow)
ADJUSTMENTS = table_of(LedgerAdjustmentRow)
OPENINGS = table_of(OpeningBalanceRow)
POSITION_FIELDS = tuple(field.name for field in fields(Position))  # the ledger's columns carry its names


def to_fill(row: Row[Any]) -> Fill:
    """Return the fill of a row of `fills`."""
    return Fill(
        account=row.account,
        symbol=row.symbol,
        fill_id=row.fill_id,
        order_id=row.order_id,
        side=Side(row.side),
        price=row.price,
        quantity=row.quantity,
        fee=row.fee,
        fee_asset=row.fee_asset,
        filled_at=row.filled_at,
    )


def to_booked(row: Row[Any]) -> BookedFill:
    """Return the booked fill of a row of `fills`."""
    return BookedFill(to_fill(row), row.fee_quote, row.fee_priced_by, row.quantity_step)


def from_booked(booked: BookedFill, imported_at: datetime) -> dict[str, Any]:
    """Return the row of a booked fill."""
    fill = booked.fill
    return {
        "account": fill.account,
        "symbol": fill.symbol,
        "fill_id": fill.fill_id,
        "order_id": fill.order_id,
        "side": fill.side.value,
        "price": fill.price,
        "quantity": fill.quantity,
        "fee": fill.fee,
        "fee_asset": fill.fee_asset,
        "fee_quote": booked.fee_quote,
        "fee_priced_by": booked.fee_priced_by,
        "quantity_step": booked.quantity_step,
        "filled_at": fill.filled_at,
        "imported_at": imported_at,
    }


def to_adjustment(row: Row[Any]) -> Adjustment:
    """Return the ledger entry of a row of `ledger_adjustments`."""
    values = {field.name: getattr(row, field.name) for field in fields(Adjustment)}
    return Adjustment(**values | {"kind": AdjustmentKind(row.kind)})


def from_adjustment(account: str, one: Adjustment, booked_at: datetime) -> dict[str, Any]:
    """Return the row of a ledger entry."""
    return asdict(one) | {"account": account, "kind": one.kind.value, "booked_at": booked_at}


def load_opening(connection: Connection, account: str) -> Opening | None:
    """Return where the account's expected holdings begin; None before the first comparison."""
    rows = connection.execute(select(OPENINGS).where(OPENINGS.c.account == account)).all()
    return Opening(rows[0].at, {row.asset: row.quantity for row in rows}) if rows else None


def load_held(connection: Connection, account: str) -> list[HeldPosition]:
    """Return the open positions by symbol, with their alarms."""
    is_held = (POSITIONS.c.account == account) & POSITIONS.c.closed_at.is_(None)
    rows = connection.execute(select(POSITIONS).where(is_held).order_by(POSITIONS.c.symbol)).all()
    alarms: dict[tuple[str, str], dict[AlarmKind, Alarm]] = {}
    for row in connection.execute(select(ALARMS).where(ALARMS.c.account == account)):
        alarm = Alarm(row.raised_at, row.alerted_at, row.alerts)
        alarms.setdefault((row.symbol, row.opened_by), {})[AlarmKind(row.kind)] = alarm
    totals = connection.execute(
        select(BALANCES.c.asset, (BALANCES.c.free + BALANCES.c.locked).label("total")).where(
            BALANCES.c.account == account
        )
    )
    balances = {row.asset: row.total for row in totals}
    return [_to_held(row, alarms.get((row.symbol, row.opened_by), {}), balances) for row in rows]


def _to_held(row: Row[Any], alarms: dict[AlarmKind, Alarm], balances: dict[str, Decimal]) -> HeldPosition:
    balance = balances.get(row.symbol.partition("/")[0], Decimal(0)) if balances else None
    valuation = None
    if row.price is not None:
        valuation = Valuation(row.price, row.price_at, row.unrealized_pnl_quote, row.unrealized_pnl_pct)
    return HeldPosition(row.account, to_position(row), valuation, row.stop_loss, row.take_profit, alarms, balance)


def alarm_key(held: HeldPosition, kind: AlarmKind) -> dict[str, Any]:
    """Return the key of the row of a held position's alarm."""
    return {
        "account": held.account,
        "symbol": held.symbol,
        "opened_by": held.position.opened_by,
        "kind": kind.value,
    }


def alarm_row(held: HeldPosition, kind: AlarmKind, alarm: Alarm) -> dict[str, Any]:
    """Return the row of a held position's alarm."""
    told = {"raised_at": alarm.raised_at, "alerted_at": alarm.alerted_at, "alerts": alarm.alerts}
    return alarm_key(held, kind) | told


def to_position(row: Row[Any]) -> Position:
    """Return the ledger's part of a row of `positions`."""
    return Position(**{name: getattr(row, name) for name in POSITION_FIELDS})


def from_positions(account: str, positions: Iterable[Position]) -> list[dict[str, Any]]:
    """Return the ledger's columns of rows of `positions`."""
    return [
        {"account": account} | {name: getattr(position, name) for name in POSITION_FIELDS} for position in positions
    ]


def key_of(held: HeldPosition) -> Any:
    """Return the condition that selects the row of a held position."""
    return (
        (POSITIONS.c.account == held.account)
        & (POSITIONS.c.symbol == held.symbol)
        & (POSITIONS.c.opened_by == held.position.opened_by)
    )
