"""Paper accounts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.portfolio_rows import table_of, to_fill
from lib.adapters.database.tables.paper import PaperFillRow, PaperOrderRow, PaperTransferRow
from lib.paper.stores import PaperOrder, Transfer
from lib.portfolio.fills import Fill, Side

TRANSFERS, ORDERS, FILLS = table_of(PaperTransferRow), table_of(PaperOrderRow), table_of(PaperFillRow)
PAPER_LOCK = 0x5050  # "PP": the class of the paper accounts' advisory locks
HELD = text("""
    SELECT asset, sum(amount) AS amount FROM (
        SELECT asset, amount FROM paper_transfers WHERE account = :account
        UNION ALL
        SELECT split_part(symbol, '/', 1), CASE side WHEN 'buy' THEN quantity ELSE -quantity END
        FROM paper_fills WHERE account = :account
        UNION ALL
        SELECT split_part(symbol, '/', 2), CASE side WHEN 'buy' THEN -quantity * price ELSE quantity * price END
        FROM paper_fills WHERE account = :account
        UNION ALL
        SELECT fee_asset, -fee FROM paper_fills WHERE account = :account
    ) AS movements GROUP BY asset HAVING sum(amount) <> 0 ORDER BY asset
""")


class DatabasePaper:
    """The `PaperStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save_transfer(self, account: str, transfer: Transfer) -> None:
        """See `PaperStore`."""
        row = {"transfer_id": transfer.transfer_id, "asset": transfer.asset, "amount": transfer.amount}
        with self._transaction(f"storing a transfer of {account}") as connection:
            connection.execute(
                upsert(TRANSFERS).values(account=account, transferred_at=transfer.at, **row).on_conflict_do_nothing()
            )

    def load_transfers(self, account: str, since: datetime) -> Sequence[Transfer]:
        """See `PaperStore`."""
        query = (
            select(TRANSFERS)
            .where(TRANSFERS.c.account == account, TRANSFERS.c.transferred_at >= since)
            .order_by(TRANSFERS.c.transferred_at, TRANSFERS.c.transfer_id)
        )
        with self._transaction(f"reading the transfers of {account}") as connection:
            rows = connection.execute(query)
            return [Transfer(row.transfer_id, row.asset, row.amount, row.transferred_at) for row in rows]

    def load_balances(self, account: str) -> Mapping[str, Decimal]:
        """See `PaperStore`."""
        with self._transaction(f"reading the balances of {account}") as connection:
            return _load_balances(connection, account)

    def load_fills(self, account: str, symbol: str, from_id: int) -> Sequence[Fill]:
        """See `PaperStore`."""
        query = (
            select(FILLS)
            .where(FILLS.c.account == account, FILLS.c.symbol == symbol, FILLS.c.fill_id >= from_id)
            .order_by(FILLS.c.fill_id)
        )
        with self._transaction(f"reading the fills of {account}") as connection:
            return [_to_fill(row) for row in connection.execute(query)]

    @contextmanager
    def open_books(self, account: str) -> Iterator[DatabasePaperBooks]:
        """See `PaperStore`."""
        with self._transaction(f"trading on {account}") as connection:
            connection.execute(select(func.pg_advisory_xact_lock(PAPER_LOCK, func.hashtext(account))))
            yield DatabasePaperBooks(connection, account)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        with database_errors(doing), self._engine.begin() as connection:
            yield connection


class DatabasePaperBooks:
    """The `PaperBooks` of one account; the caller holds its lock and ends the transaction."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection = connection
        self._account = account

    def load_order(self, client_order_id: str) -> PaperOrder | None:
        """See `PaperBooks`."""
        query = select(ORDERS).where(ORDERS.c.account == self._account, ORDERS.c.client_order_id == client_order_id)
        order = self._connection.execute(query).one_or_none()
        if order is None:
            return None
        of_order = (
            select(FILLS)
            .where(FILLS.c.account == self._account, FILLS.c.symbol == order.symbol, FILLS.c.order_id == order.order_id)
            .order_by(FILLS.c.fill_id)
        )
        fills = tuple(_to_fill(row) for row in self._connection.execute(of_order))
        return PaperOrder(client_order_id, order.symbol, Side(order.side), order.quantity, fills, order.ordered_at)

    def load_balances(self) -> Mapping[str, Decimal]:
        """See `PaperBooks`."""
        return _load_balances(self._connection, self._account)

    def load_next_ids(self, symbol: str) -> tuple[int, int]:
        """See `PaperBooks`."""
        newest_order = select(func.max(ORDERS.c.order_id)).where(ORDERS.c.account == self._account)
        newest_fill = select(func.max(FILLS.c.fill_id)).where(
            FILLS.c.account == self._account, FILLS.c.symbol == symbol
        )
        newest = [self._connection.scalar(query) or 0 for query in (newest_order, newest_fill)]
        return newest[0] + 1, newest[1] + 1

    def save_order(self, order: PaperOrder) -> None:
        """See `PaperBooks`."""
        self._connection.execute(
            insert(ORDERS).values(
                account=self._account,
                order_id=int(order.fills[0].order_id),
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                side=order.side.value,
                quantity=order.quantity,
                ordered_at=order.at,
            )
        )
        rows = [asdict(fill) | {"order_id": int(fill.order_id), "side": fill.side.value} for fill in order.fills]
        self._connection.execute(insert(FILLS), rows)


def _load_balances(connection: Connection, account: str) -> Mapping[str, Decimal]:
    return {row.asset: row.amount for row in connection.execute(HELD, {"account": account})}


def _to_fill(row: Row[Any]) -> Fill:
    return replace(to_fill(row), order_id=str(row.order_id))
