"""Rows of the tables of orders as records of `lib.execution`, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select, tuple_

from lib.adapters.database.portfolio_rows import table_of, to_fill
from lib.adapters.database.tables.orders import OrderAttemptRow, OrderFillRow, OrderIntentRow, OrderRow
from lib.code_version import find_code_version
from lib.execution.orders import (
    Attempt,
    AttemptOutcome,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    TimeInForce,
)
from lib.portfolio.fills import Fill, Side

INTENTS, ORDERS = table_of(OrderIntentRow), table_of(OrderRow)
ATTEMPTS, FILLS = table_of(OrderAttemptRow), table_of(OrderFillRow)
INTENT_FIELDS = tuple(field.name for field in fields(OrderIntent))  # the columns carry their names
SAME_ORDER = and_(INTENTS.c.account == ORDERS.c.account, INTENTS.c.client_order_id == ORDERS.c.client_order_id)


def load_orders(connection: Connection, *conditions: ColumnElement[bool]) -> list[Order]:
    """Return the orders that meet all conditions on `INTENTS` and `ORDERS`, by creation."""
    columns = (*INTENTS.c, ORDERS.c.state, ORDERS.c.order_id, ORDERS.c.reason, ORDERS.c.refusal, ORDERS.c.changed_at)
    query = (
        select(*columns)
        .join(ORDERS, SAME_ORDER)
        .where(*conditions)
        .order_by(INTENTS.c.created_at, INTENTS.c.client_order_id)
    )
    rows = connection.execute(query).all()
    keys = [(row.account, row.client_order_id) for row in rows]
    attempts: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    fills: dict[tuple[str, str], list[Fill]] = defaultdict(list)
    for table, order_by, found in ((ATTEMPTS, ATTEMPTS.c.number, attempts), (FILLS, FILLS.c.fill_id, fills)):
        of_orders = tuple_(table.c.account, table.c.client_order_id).in_(keys)
        for row in connection.execute(select(table).where(of_orders).order_by(order_by)) if keys else ():
            record: Any = to_fill(row) if table is FILLS else _to_attempt(row)
            found[row.account, row.client_order_id].append(record)
    return [_to_order(row, attempts[key], fills[key]) for row, key in zip(rows, keys, strict=True)]


def from_intent(intent: OrderIntent) -> dict[str, Any]:
    """Return the row of an intent, with the code that writes it."""
    kind, version = intent.kind.value, find_code_version()
    return asdict(intent) | {"side": intent.side.value, "kind": kind, "code_version": version, **_force(intent)}


def from_order(order: Order) -> dict[str, Any]:
    """Return the changing columns of the row of an order."""
    return {
        "state": order.state.value,
        "order_id": order.order_id,
        "reason": order.reason,
        "refusal": order.refusal,
        "changed_at": order.changed_at,
    }


def from_attempts(order: Order) -> list[dict[str, Any]]:
    """Return the rows of an order's attempts."""
    return [_key(order) | asdict(attempt) | {"outcome": attempt.outcome.value} for attempt in order.attempts]


def from_fills(order: Order) -> list[dict[str, Any]]:
    """Return the rows of an order's fills."""
    return [_key(order) | asdict(fill) | {"side": fill.side.value} for fill in order.fills]


def _key(order: Order) -> dict[str, Any]:
    return {"account": order.intent.account, "client_order_id": order.intent.client_order_id}


def _force(intent: OrderIntent) -> dict[str, str]:
    return {"time_in_force": intent.time_in_force.value}


def _to_order(row: Row[Any], attempts: Iterable[Attempt], fills: Iterable[Fill]) -> Order:
    values = {name: getattr(row, name) for name in INTENT_FIELDS}
    values |= {"side": Side(row.side), "kind": OrderKind(row.kind), "time_in_force": TimeInForce(row.time_in_force)}
    return Order(
        intent=OrderIntent(**values),
        state=OrderState(row.state),
        attempts=tuple(attempts),
        order_id=row.order_id,
        fills=tuple(fills),
        reason=row.reason,
        refusal=row.refusal,
        changed_at=row.changed_at,
        code_version=row.code_version,
    )


def _to_attempt(row: Row[Any]) -> Attempt:
    return Attempt(row.number, row.attempted_at, AttemptOutcome(row.outcome), row.detail)
