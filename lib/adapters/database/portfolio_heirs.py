"""The same holding under another opening fill, because an older fill turned up."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from lib.adapters.database.portfolio_rows import ALARMS, POSITIONS, alarm_row, key_of, load_held
from lib.adapters.database.tables.protections import PROTECTIONS
from lib.adapters.database.tables.tickets import EXITS, TICKETS
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.stores import HeldPosition


def lock_held(connection: Connection, account: str) -> list[HeldPosition]:
    """Return the open positions; who sets a limit or notes an alarm of one waits until the transaction ends."""
    is_held = (POSITIONS.c.account == account) & POSITIONS.c.closed_at.is_(None)
    connection.execute(select(POSITIONS.c.symbol).where(is_held).order_by(POSITIONS.c.symbol).with_for_update())
    return load_held(connection, account)


def hand_on(connection: Connection, held: HeldPosition, heir: HeldPosition) -> None:
    """Give the heir limits, alarms, exits, tickets, protections and last price of the held, whose row may be gone."""
    last = held.valuation
    connection.execute(
        update(POSITIONS)
        .where(key_of(heir))
        .values(
            stop_loss=held.stop_loss,
            take_profit=held.take_profit,
            price=last and last.price,
            price_at=last and last.price_at,
            unrealized_pnl_quote=last and last.unrealized_pnl_quote,
            unrealized_pnl_pct=last and last.unrealized_pnl_pct,
        )
    )
    of_heir = [ALARMS.c[name] == getattr(heir, name) for name in ("account", "symbol")]
    connection.execute(delete(ALARMS).where(*of_heir, ALARMS.c.opened_by == heir.position.opened_by))
    rows = [alarm_row(heir, kind, alarm) for kind, alarm in _merge_alarms(held, heir).items()]
    if rows:
        connection.execute(insert(ALARMS), rows)
    for table in (EXITS, TICKETS, PROTECTIONS):
        of_held = [table.c[name] == getattr(held, name) for name in ("account", "symbol")]
        change = update(table).where(*of_held, table.c.opened_by == held.position.opened_by)
        connection.execute(change.values(opened_by=heir.position.opened_by))


def _merge_alarms(held: HeldPosition, heir: HeldPosition) -> dict[AlarmKind, Alarm]:
    """Return what was told of the holding; the counts number the messages of either, so the higher one goes on."""
    merged = {}
    for kind in {*held.alarms, *heir.alarms}:
        told, other = held.alarms.get(kind, Alarm()), heir.alarms.get(kind, Alarm())
        merged[kind] = Alarm(told.raised_at, told.alerted_at, max(told.alerts, other.alerts))
    return merged
