"""The durable store under the books: one SQLite file, every change one transaction that is on disk when it returns.

After a `kill -9` between any two changes the same file continues the same books, with the same ids. Without a path
the store lives in memory and dies with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lib.simulator.records import Record

R = TypeVar("R", bound=Record)

SCHEMA_VERSION = 1
LOCK_SECONDS = 2.0  # how long a start waits for a simulator that is just ending
# Amounts are text: SQLite's numbers are binary floats.
SCHEMA = """
CREATE TABLE counters (name TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE accounts (
    account_id INTEGER PRIMARY KEY, api_key TEXT UNIQUE NOT NULL, api_secret TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, maker_rate TEXT NOT NULL, taker_rate TEXT NOT NULL, fees_in_bnb INTEGER NOT NULL,
    can_trade INTEGER NOT NULL, can_withdraw INTEGER NOT NULL, can_deposit INTEGER NOT NULL,
    enable_withdrawals INTEGER NOT NULL);
CREATE TABLE balances (
    account_id INTEGER NOT NULL, asset TEXT NOT NULL, free TEXT NOT NULL, locked TEXT NOT NULL,
    PRIMARY KEY (account_id, asset)) WITHOUT ROWID;
CREATE TABLE movements (
    movement_id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, kind TEXT NOT NULL, asset TEXT NOT NULL,
    amount TEXT NOT NULL, fee TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE orders (
    symbol TEXT NOT NULL, order_id INTEGER NOT NULL, account_id INTEGER NOT NULL, order_list_id INTEGER NOT NULL,
    client_order_id TEXT NOT NULL, side TEXT NOT NULL, type TEXT NOT NULL, time_in_force TEXT NOT NULL,
    price TEXT NOT NULL, stop_price TEXT NOT NULL, quantity TEXT NOT NULL, quote_quantity TEXT NOT NULL,
    executed TEXT NOT NULL, executed_quote TEXT NOT NULL, status TEXT NOT NULL, expiry_reason TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, working_at_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL, locked TEXT NOT NULL, locked_asset TEXT NOT NULL, self_trade_prevention TEXT NOT NULL,
    PRIMARY KEY (symbol, order_id)) WITHOUT ROWID;
CREATE INDEX open_orders ON orders (account_id, symbol) WHERE status IN ('NEW', 'PARTIALLY_FILLED');
CREATE INDEX orders_by_client_id ON orders (account_id, symbol, client_order_id);
CREATE INDEX orders_by_account ON orders (account_id, symbol, order_id);
CREATE INDEX orders_by_list ON orders (order_list_id) WHERE order_list_id >= 0;
CREATE TABLE trades (
    symbol TEXT NOT NULL, trade_id INTEGER NOT NULL, account_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
    order_list_id INTEGER NOT NULL, side TEXT NOT NULL, price TEXT NOT NULL, quantity TEXT NOT NULL,
    quote_quantity TEXT NOT NULL, fee TEXT NOT NULL, fee_asset TEXT NOT NULL, is_maker INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, PRIMARY KEY (symbol, trade_id)) WITHOUT ROWID;
CREATE INDEX trades_by_account ON trades (account_id, symbol, trade_id);
CREATE INDEX trades_by_order ON trades (symbol, order_id);
CREATE TABLE order_lists (
    order_list_id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, symbol TEXT NOT NULL, client_id TEXT NOT NULL,
    updated_at_ms INTEGER NOT NULL, is_done INTEGER NOT NULL);
CREATE INDEX lists_by_client_id ON order_lists (account_id, client_id);
"""


class JournalError(ValueError):
    """The file cannot hold the books; the message names it and the remedy."""


class Journal:
    """Rows in and out of the file; used by one thread at a time, the one that runs the server's event loop.

    Args:
        path: The file, made on first use; None keeps everything in memory.

    Raises:
        JournalError: If another process uses the file, or it is none of ours.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._connection = sqlite3.connect(
            path or ":memory:", timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise JournalError(
                f"The simulator's books {path} cannot be opened: {error}. Stop the simulator that uses them, or name "
                "another file."
            ) from error

    def _prepare(self) -> None:
        # The lock belongs to the process, so the system releases it on any death.
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"they are of version {version}, this program writes {SCHEMA_VERSION}")
        with self.transaction():
            if version == 0:
                for statement in SCHEMA.split(";"):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside one change: all of it is on disk at the end, or none. Inner ones join the outer."""
        if self._is_changing():
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._is_changing():  # not after a full disk, which ends the transaction itself
                self._connection.execute("ROLLBACK")
            raise

    def _is_changing(self) -> bool:
        return self._connection.in_transaction

    def next_id(self, counter: str) -> int:
        """Return the next number of a counter, 1 first; a number is never given twice."""
        sql = "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last"
        with self.transaction():
            return int(self._connection.execute(sql, (counter,)).fetchone()[0])

    def save(self, table: str, record: Record) -> None:
        """Insert a record, or replace the one with its key."""
        row = record.model_dump(mode="json")
        sql = f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608 - names come from our own records
        with self.transaction():
            self._connection.execute(sql, tuple(row.values()))

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Run one statement as a change."""
        with self.transaction():
            self._connection.execute(sql, values)

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def records(self, kind: type[R], sql: str, values: tuple[Any, ...] = ()) -> list[R]:
        """Return the rows of a query as records."""
        return [kind.model_validate(dict(row)) for row in self.rows(sql, values)]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
