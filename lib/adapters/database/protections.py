"""Protections in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, insert, or_, select, update

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.order_rows import INTENTS, load_orders
from lib.adapters.database.portfolio_rows import POSITIONS
from lib.adapters.database.tables.protections import PROTECTIONS
from lib.execution.orders import Order
from lib.execution.protection import Guard, Protection
from lib.notifications.messages import Message

OF_OPEN_POSITION = (
    select(POSITIONS.c.symbol)
    .where(
        POSITIONS.c.account == PROTECTIONS.c.account,
        POSITIONS.c.symbol == PROTECTIONS.c.symbol,
        POSITIONS.c.opened_by == PROTECTIONS.c.opened_by,
        POSITIONS.c.closed_at.is_(None),
    )
    .exists()
)


class DatabaseProtections:
    """The `ProtectionStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load_current(self, account: str) -> Sequence[Guard]:
        """See `ProtectionStore`."""
        is_current = or_(PROTECTIONS.c.settled_at.is_(None), OF_OPEN_POSITION)
        query = select(PROTECTIONS).where(PROTECTIONS.c.account == account, is_current)
        query = query.order_by(PROTECTIONS.c.created_at, PROTECTIONS.c.protection_id)
        with database_errors(f"reading the protections of {account}"), self._engine.connect() as connection:
            found = [Protection(**row) for row in connection.execute(query).mappings()]
            plans = [one.plan for one in found]
            orders = load_orders(connection, INTENTS.c.account == account, INTENTS.c.plan.in_(plans)) if plans else []
        return [Guard(one, _orders_of(one, orders)) for one in found]

    def add(self, protection: Protection) -> None:
        """See `ProtectionStore`."""
        with database_errors(f"storing the {protection.name}"), self._engine.begin() as connection:
            connection.execute(insert(PROTECTIONS).values(asdict(protection)))

    def release(self, protection: Protection, why: str, now: datetime) -> None:
        """See `ProtectionStore`."""
        is_held = PROTECTIONS.c.released_at.is_(None)
        self._change(protection, is_held, released_at=now, release_why=why)

    def note_look(self, protection: Protection, now: datetime) -> None:
        """See `ProtectionStore`."""
        self._change(protection, PROTECTIONS.c.looked_at < now, looked_at=now)

    def settle(self, protection: Protection, now: datetime, message: Message | None = None) -> bool:
        """See `ProtectionStore`."""
        change = update(PROTECTIONS).where(_is_it(protection), PROTECTIONS.c.settled_at.is_(None))
        with database_errors(f"settling the {protection.name}"), self._engine.begin() as connection:
            done = connection.execute(change.values(settled_at=now))
            if done.rowcount and message is not None:
                record_message(connection, message)
            return bool(done.rowcount)

    def _change(self, protection: Protection, condition: ColumnElement[bool], **values: Any) -> None:
        change = update(PROTECTIONS).where(_is_it(protection), condition).values(values)
        with database_errors(f"changing the {protection.name}"), self._engine.begin() as connection:
            connection.execute(change)


def _is_it(protection: Protection) -> ColumnElement[bool]:
    return and_(PROTECTIONS.c.account == protection.account, PROTECTIONS.c.protection_id == protection.protection_id)


def _orders_of(protection: Protection, orders: Sequence[Order]) -> tuple[Order, ...]:
    """Return its orders, the stop loss first: `-s` comes before `-t`."""
    return tuple(order for order in orders if order.intent.plan == protection.plan)
