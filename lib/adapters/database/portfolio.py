"""The portfolio's store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, Connection, Engine, Row, Text, cast, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.exits import want_exit
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.portfolio_books import IMPORTS, DatabaseBooks
from lib.adapters.database.portfolio_rows import (
    ALARMS,
    BALANCES,
    FILLS,
    POSITIONS,
    alarm_key,
    key_of,
    load_held,
    table_of,
    to_booked,
)
from lib.adapters.database.tables.portfolio import AccountRow
from lib.errors import OperatorError, SettingsError
from lib.notifications.messages import Message
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.exits import ExitPolicy
from lib.portfolio.stores import HeldPosition, ImportState, SeenBalance

ACCOUNTS = table_of(AccountRow)
BOOKS_LOCK = 0x424B  # "BK": the class of the accounts' advisory locks
LOCK_TIMEOUT = "60s"  # a writer that hangs must not hang all that come after it


class DatabasePortfolioStore:
    """The `PortfolioStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ensure_account(self, account: Account, now: datetime) -> None:
        """See `PortfolioStore`."""
        with self._transaction(f"registering account {account.name}") as connection:
            connection.execute(
                upsert(ACCOUNTS)
                .values(
                    name=account.name,
                    kind=account.kind.value,
                    exchange=account.exchange,
                    quote_asset=account.quote_asset,
                    created_at=now,
                )
                .on_conflict_do_nothing()
            )
            stored = _load_account(connection, account.name)
        if stored != account:
            raise SettingsError(
                f"Account {account.name} is stored as {_describe(stored)}, the settings say {_describe(account)}. "
                "Its fills would be mixed with others: give the account of the settings another name."
            )

    def load_account(self, name: str) -> Account:
        """See `PortfolioStore`."""
        with self._transaction(f"reading account {name}") as connection:
            account = _load_account(connection, name)
        if account is None:
            raise OperatorError(f"Account {name} is not registered. Name it in the settings, then run `fks up`.")
        return account

    def load_holders(self) -> Sequence[Account]:
        """See `PortfolioStore`."""
        holding = select(POSITIONS.c.account).where(POSITIONS.c.closed_at.is_(None))
        wanted = select(ACCOUNTS).where(ACCOUNTS.c.name.in_(holding)).order_by(ACCOUNTS.c.name)
        with self._transaction("looking for open positions") as connection:
            return [_to_account(row) for row in connection.execute(wanted)]

    def load_import_state(self, account: str) -> ImportState:
        """See `PortfolioStore`."""
        with self._transaction(f"reading the last import of {account}") as connection:
            seen = connection.execute(select(BALANCES).where(BALANCES.c.account == account)).all()
            asked = connection.execute(select(IMPORTS).where(IMPORTS.c.account == account)).all()
            registered_at = connection.scalar(select(ACCOUNTS.c.created_at).where(ACCOUNTS.c.name == account))
            done_at = [*(row.seen_at for row in seen), *(row.asked_at for row in asked if row.asked_at)]
            is_held = (POSITIONS.c.account == account) & POSITIONS.c.closed_at.is_(None)
            waiting = connection.execute(select(FILLS).where(FILLS.c.account == account, FILLS.c.fee_quote.is_(None)))
            return ImportState(
                seen={row.asset: SeenBalance(row.free + row.locked, row.changed_at) for row in seen},
                asked_at={row.symbol: row.asked_at for row in asked},
                open_symbols=frozenset(connection.scalars(select(POSITIONS.c.symbol).where(is_held))),
                unvalued=tuple(to_booked(row) for row in waiting),
                failing_since={row.symbol: row.failing_since for row in asked if row.failing_since},
                imported_at=max(done_at, default=registered_at),
            )

    def load_resume_ids(self, account: str, symbols: Collection[str], settled_before: datetime) -> Mapping[str, int]:
        """See `PortfolioStore`. One short walk down the primary key a symbol, whatever its history's length."""
        wanted = select(func.unnest(cast(list(symbols), ARRAY(Text))).label("symbol")).subquery()
        newest = (
            select(FILLS.c.fill_id)
            .where(FILLS.c.account == account, FILLS.c.symbol == wanted.c.symbol, FILLS.c.filled_at < settled_before)
            .order_by(FILLS.c.fill_id.desc())
            .limit(1)
            .lateral()
        )
        with self._transaction(f"reading the last fills of {account}") as connection:
            rows = connection.execute(select(wanted.c.symbol, newest.c.fill_id).join(newest, literal(True)))
            return {row.symbol: row.fill_id for row in rows}

    @contextmanager
    def open_books(self, account: str) -> Iterator[DatabaseBooks]:
        """See `PortfolioStore`."""
        with self._transaction(f"writing the books of {account}") as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.execute(select(func.pg_advisory_xact_lock(BOOKS_LOCK, func.hashtext(account))))
            yield DatabaseBooks(connection, account)

    def load_held(self, account: str) -> Sequence[HeldPosition]:
        """See `PortfolioStore`."""
        with self._transaction(f"reading the positions of {account}") as connection:
            return load_held(connection, account)

    def save_limits(self, held: HeldPosition, stop_loss: Decimal | None, take_profit: Decimal | None) -> bool:
        """See `PortfolioStore`."""
        changed = [
            kind
            for kind, old, new in (
                (AlarmKind.STOP_LOSS, held.stop_loss, stop_loss),
                (AlarmKind.TAKE_PROFIT, held.take_profit, take_profit),
            )
            if old != new
        ]
        with self._transaction(f"setting limits of {held.name}") as connection:
            done = connection.execute(
                update(POSITIONS)
                .where(
                    key_of(held),
                    POSITIONS.c.closed_at.is_(None),
                    POSITIONS.c.stop_loss.is_not_distinct_from(held.stop_loss),
                    POSITIONS.c.take_profit.is_not_distinct_from(held.take_profit),
                )
                .values(stop_loss=stop_loss, take_profit=take_profit)
            )
            for kind in changed if done.rowcount else ():
                _arm_anew(connection, held, kind)
            return bool(done.rowcount)

    def save_alarm(
        self,
        held: HeldPosition,
        kind: AlarmKind,
        alarm: Alarm,
        message: Message | None = None,
        policy: ExitPolicy = ExitPolicy.ALERT,
    ) -> bool:
        """See `PortfolioStore`."""
        told = {"raised_at": alarm.raised_at, "alerted_at": alarm.alerted_at, "alerts": alarm.alerts}
        row = alarm_key(held, kind) | told
        there = select(*(literal(value, ALARMS.c[name].type) for name, value in row.items())).where(
            select(POSITIONS).where(key_of(held)).exists()
        )
        with self._transaction(f"noting an alarm of {held.name}") as connection:
            done = connection.execute(
                upsert(ALARMS)
                .from_select(list(row), there)
                .on_conflict_do_update(
                    constraint=ALARMS.primary_key,
                    set_=told,
                    where=ALARMS.c.alerts == held.alarms.get(kind, Alarm()).alerts,
                )
            )
            if done.rowcount and message is not None:
                record_message(connection, message)
            if done.rowcount and policy is not ExitPolicy.ALERT and alarm.raised_at is not None:
                want_exit(connection, held, kind, policy, alarm.raised_at)
            return bool(done.rowcount)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        with database_errors(doing), self._engine.begin() as connection:
            yield connection


def _load_account(connection: Connection, name: str) -> Account | None:
    row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).one_or_none()
    return _to_account(row) if row else None


def _to_account(row: Row[Any]) -> Account:
    return Account(row.name, AccountKind(row.kind), row.exchange, row.quote_asset)


def _describe(account: Account | None) -> str:
    return f"{account.kind}, {account.exchange}, {account.quote_asset}" if account else "unknown"


def _arm_anew(connection: Connection, held: HeldPosition, kind: AlarmKind) -> None:
    """Arm an alarm whose limit changed. The count goes on, so a message of the old limit hides none of the new."""
    armed = {"raised_at": None, "alerted_at": None}
    connection.execute(
        upsert(ALARMS)
        .values(alarm_key(held, kind) | armed | {"alerts": 1})
        .on_conflict_do_update(constraint=ALARMS.primary_key, set_=armed | {"alerts": ALARMS.c.alerts + 1})
    )
