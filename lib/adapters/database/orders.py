"""Orders in PostgreSQL: the writer's desk with the account's lock, and what others may read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.locking import begin_locked, open_locking
from lib.adapters.database.order_rows import (
    ATTEMPTS,
    FILLS,
    INTENTS,
    ORDERS,
    from_attempts,
    from_fills,
    from_intent,
    from_order,
    load_orders,
)
from lib.errors import AccountBusy, OrderRefused
from lib.execution.orders import Order, OrderIntent, OrderState, check_transition

ORDERS_LOCK = 0x4F52  # "OR": the class of the writers' advisory locks
IS_UNFINISHED = ORDERS.c.state.in_([state.value for state in OrderState if not state.is_final])
OF_INTENT = select(FILLS.c.fill_id).where(
    FILLS.c.account == INTENTS.c.account, FILLS.c.client_order_id == INTENTS.c.client_order_id
)
# What was filled, and of unfinished orders also the rest, at the price that they were decided at; without exits and
# protective orders, the only ones of their kinds.
NOTIONAL = text("""
    SELECT coalesce(sum(filled.notional + CASE
        WHEN orders.state IN ('filled', 'cancelled', 'expired', 'rejected') THEN 0
        ELSE (intent.quantity - filled.quantity) * intent.reference_price END), 0)
    FROM order_intents AS intent JOIN orders USING (account, client_order_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(quantity * price), 0) AS notional, coalesce(sum(quantity), 0) AS quantity
        FROM order_fills AS fill
        WHERE fill.account = intent.account AND fill.client_order_id = intent.client_order_id
    ) AS filled
    WHERE account = :account AND intent.created_at >= :since AND client_order_id <> :without
    AND intent.kind IN ('market', 'limit') AND NOT EXISTS (
        SELECT FROM order_tickets AS ticket
        WHERE ticket.account = intent.account AND ticket.client_order_id = intent.client_order_id
            AND ticket.exit_id IS NOT NULL
    )
""")


class DatabaseOrders:
    """The `OrderStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def open_desk(self, account: str) -> Iterator[DatabaseOrderDesk]:
        """See `OrderStore`."""
        with open_locking(self._engine, f"opening the order desk of {account}") as connection:
            _take_lock(connection, account)
            yield DatabaseOrderDesk(connection, account)

    def load_orders(
        self,
        account: str,
        *,
        since: datetime | None = None,
        plan: str | None = None,
        filled_after: datetime | None = None,
    ) -> Sequence[Order]:
        """See `OrderStore`."""
        conditions = [INTENTS.c.account == account]
        conditions += [] if since is None else [INTENTS.c.created_at >= since]
        conditions += [] if plan is None else [INTENTS.c.plan == plan]
        conditions += [] if filled_after is None else [OF_INTENT.where(FILLS.c.filled_at > filled_after).exists()]
        with self._reading(account) as connection:
            return load_orders(connection, *conditions)

    def load_unfinished(self, account: str) -> Sequence[Order]:
        """See `OrderStore`."""
        with self._reading(account) as connection:
            return load_orders(connection, INTENTS.c.account == account, IS_UNFINISHED)

    def load_notional(self, account: str, since: datetime, without: str = "") -> Decimal:
        """See `OrderStore`."""
        with self._reading(account) as connection:
            values = {"account": account, "since": since, "without": without}
            return Decimal(connection.execute(NOTIONAL, values).scalar_one())

    @contextmanager
    def _reading(self, account: str) -> Iterator[Connection]:
        with database_errors(f"reading the orders of {account}"), self._engine.connect() as connection:
            yield connection


class DatabaseOrderDesk:
    """The `OrderDesk` of one account, on the connection that holds its lock."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account

    def add(self, intent: OrderIntent) -> Order:
        """See `OrderDesk`."""
        [order] = self.add_all([intent])
        return order

    def add_all(self, intents: Sequence[OrderIntent]) -> list[Order]:
        """See `OrderDesk`."""
        with self._transaction(f"storing {', '.join(one.client_order_id for one in intents)}") as connection:
            return [self._add(connection, one) for one in intents]

    def _add(self, connection: Connection, intent: OrderIntent) -> Order:
        key = {"account": self._account, "client_order_id": intent.client_order_id}
        new = Order(intent, OrderState.NEW, (), None, (), "", "", intent.created_at)
        connection.execute(upsert(INTENTS).values(from_intent(intent)).on_conflict_do_nothing())
        connection.execute(upsert(ORDERS).values(key | from_order(new)).on_conflict_do_nothing())
        [stored] = self._load(connection, intent.client_order_id)
        if not _is_same(stored.intent, intent):
            raise OrderRefused(f"The client order id of {new.name} already names {stored.name}. Give it another one.")
        return stored

    def load(self, client_order_id: str) -> Order | None:
        """See `OrderDesk`."""
        with self._transaction(f"reading order {client_order_id}") as connection:
            return next(iter(self._load(connection, client_order_id)), None)

    def load_unfinished(self) -> Sequence[Order]:
        """See `OrderDesk`."""
        with self._transaction(f"reading the unfinished orders of {self._account}") as connection:
            return load_orders(connection, INTENTS.c.account == self._account, IS_UNFINISHED)

    def save(self, before: Order, after: Order) -> Order:
        """See `OrderDesk`."""
        self.save_all([before], [after])
        return after

    def save_all(self, before: Sequence[Order], after: Sequence[Order]) -> Sequence[Order]:
        """See `OrderDesk`."""
        with self._transaction(f"storing what became of {', '.join(one.name for one in after)}") as connection:
            for one_before, one_after in zip(before, after, strict=True):
                self._save(connection, one_before, one_after)
        return after

    def _save(self, connection: Connection, before: Order, after: Order) -> None:
        check_transition(before.state, after.state)
        is_it = (ORDERS.c.account == self._account) & (ORDERS.c.client_order_id == after.intent.client_order_id)
        as_before = (ORDERS.c.state == before.state.value) & (ORDERS.c.changed_at == before.changed_at)
        changed = connection.execute(update(ORDERS).where(is_it, as_before).values(from_order(after)))
        if changed.rowcount != 1:
            raise AccountBusy(f"Another process has changed {after.name}. It is left to that one.")
        _save_attempts(connection, before, after)
        if rows := from_fills(after):
            connection.execute(upsert(FILLS).values(rows).on_conflict_do_nothing())

    def _load(self, connection: Connection, client_order_id: str) -> list[Order]:
        return load_orders(connection, INTENTS.c.account == self._account, INTENTS.c.client_order_id == client_order_id)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        with begin_locked(self._connection, "the account's lock", doing) as connection:
            yield connection


def _take_lock(connection: Connection, account: str) -> None:
    with database_errors(f"taking the orders of {account}"), connection.begin():
        lock = select(func.pg_try_advisory_lock(ORDERS_LOCK, func.hashtext(account)))
        if not connection.scalar(lock):
            raise AccountBusy(
                f"Another run places orders of account {account} now. Wait until it has ended, then start this again."
            )


def _save_attempts(connection: Connection, before: Order, after: Order) -> None:
    known = {attempt.number: attempt for attempt in before.attempts}
    for attempt, row in zip(after.attempts, from_attempts(after), strict=True):
        if attempt.number not in known:
            connection.execute(insert(ATTEMPTS).values(row))
        elif attempt != known[attempt.number]:
            is_it = (ATTEMPTS.c.account == row["account"]) & (ATTEMPTS.c.client_order_id == row["client_order_id"])
            connection.execute(update(ATTEMPTS).where(is_it, ATTEMPTS.c.number == attempt.number).values(row))


def _is_same(stored: OrderIntent, given: OrderIntent) -> bool:
    """Tell whether both want the same order; a plan that is run again may see another price and time."""
    return stored == replace(
        given,
        created_at=stored.created_at,
        reference_price=stored.reference_price,
        why=stored.why,
        approval=stored.approval,
    )
