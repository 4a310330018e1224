"""The books: who owns what, every order, every trade, all money in and out. The independent truth of the exchange."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lib.simulator.journal import Journal
from lib.simulator.records import (
    Account,
    Balance,
    Movement,
    MovementKind,
    Order,
    OrderList,
    Trade,
)

ZERO = Decimal(0)
_OPEN = "status IN ('NEW', 'PARTIALLY_FILLED')"


@dataclass(frozen=True)
class Page:
    """Which rows of a history are asked for; instants are inclusive.

    As on Binance, the oldest `limit` rows from `from_id` or `from_ms` on, or the newest ones where neither is given;
    oldest first either way.
    """

    symbol: str | None = None
    order_id: int | None = None
    from_id: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    limit: int = -1  # all

    def to_query(self, table: str, id_column: str, at_column: str, account_id: int) -> tuple[str, tuple[Any, ...]]:
        """Return the query for these rows and its values."""
        where, values = _conditions(
            {
                "symbol =": self.symbol,
                "order_id =": self.order_id,
                f"{id_column} >=": self.from_id,
                f"{at_column} >=": self.from_ms,
                f"{at_column} <=": self.to_ms,
            }
        )
        direction = "DESC" if self.from_id is None and self.from_ms is None else "ASC"
        sql = (
            f"SELECT * FROM (SELECT * FROM {table} WHERE account_id = ?{where} "  # noqa: S608 - our own names
            f"ORDER BY {id_column} {direction} LIMIT ?) ORDER BY {id_column}"
        )
        return sql, (account_id, *values, self.limit)


class OverdrawnError(Exception):
    """A change would have taken more than an account has; nothing of it was booked."""


class Books:
    """Reading and changing the books; a change is durable when its outermost `transaction` ends.

    Args:
        journal: Where the books are kept.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def transaction(self) -> AbstractContextManager[None]:
        """Join several changes into one that happens wholly or not at all."""
        return self._journal.transaction()

    def close(self) -> None:
        """Close the store."""
        self._journal.close()

    # Accounts

    def open_account(self, api_key: str, api_secret: str, at_ms: int, **settings: Any) -> Account:
        """Add an account; `settings` are fields of `Account`."""
        with self.transaction():
            account_id = self._journal.next_id("account")
            account = Account(
                account_id=account_id, api_key=api_key, api_secret=api_secret, created_at_ms=at_ms, **settings
            )
            self._journal.save("accounts", account)
        return account

    def change_account(self, account: Account, **settings: Any) -> Account:
        """Change fields of an account and return it as it is then."""
        changed = Account.model_validate({**account.model_dump(), **settings})
        self._journal.save("accounts", changed)
        return changed

    def accounts(self) -> list[Account]:
        """Return all accounts, oldest first."""
        return self._journal.records(Account, "SELECT * FROM accounts ORDER BY account_id")

    def find_account(self, api_key: str) -> Account | None:
        """Return the account of an API key."""
        found = self._journal.records(Account, "SELECT * FROM accounts WHERE api_key = ?", (api_key,))
        return found[0] if found else None

    # Balances

    def balances(self, account_id: int) -> dict[str, Balance]:
        """Return every asset the account ever held, by name."""
        sql = "SELECT asset, free, locked FROM balances WHERE account_id = ? ORDER BY asset"
        rows = self._journal.rows(sql, (account_id,))
        return {row["asset"]: Balance(Decimal(row["free"]), Decimal(row["locked"])) for row in rows}

    def balance(self, account_id: int, asset: str) -> Balance:
        """Return one asset's balance, zero where it was never held."""
        sql = "SELECT free, locked FROM balances WHERE account_id = ? AND asset = ?"
        rows = self._journal.rows(sql, (account_id, asset))
        return Balance(Decimal(rows[0]["free"]), Decimal(rows[0]["locked"])) if rows else Balance(ZERO, ZERO)

    def adjust(self, account_id: int, asset: str, free: Decimal = ZERO, locked: Decimal = ZERO) -> None:
        """Add signed amounts to what is free and what is locked.

        Raises:
            OverdrawnError: If either would fall below zero.
        """
        before = self.balance(account_id, asset)
        after = Balance(before.free + free, before.locked + locked)
        if after.free < 0 or after.locked < 0:
            raise OverdrawnError(
                f"Expected account {account_id} to have {-free} {asset} free and {-locked} locked, was {before.free} "
                f"free and {before.locked} locked."
            )
        sql = "INSERT OR REPLACE INTO balances (account_id, asset, free, locked) VALUES (?, ?, ?, ?)"
        self._journal.execute(sql, (account_id, asset, str(after.free), str(after.locked)))

    def deposit(self, account_id: int, asset: str, amount: Decimal, at_ms: int) -> Movement:
        """Credit a deposit."""
        return self._move(account_id, MovementKind.DEPOSIT, asset, amount, ZERO, at_ms)

    def withdraw(self, account_id: int, asset: str, amount: Decimal, fee: Decimal, at_ms: int) -> Movement:
        """Debit a withdrawal of `amount` and its network `fee`.

        Raises:
            OverdrawnError: If less is free.
        """
        return self._move(account_id, MovementKind.WITHDRAWAL, asset, amount, fee, at_ms)

    def _move(
        self, account_id: int, kind: MovementKind, asset: str, amount: Decimal, fee: Decimal, at_ms: int
    ) -> Movement:
        change = amount if kind is MovementKind.DEPOSIT else -(amount + fee)
        with self.transaction():
            self.adjust(account_id, asset, free=change)
            movement = Movement(
                movement_id=self._journal.next_id("movement"),
                account_id=account_id,
                kind=kind,
                asset=asset,
                amount=amount,
                fee=fee,
                at_ms=at_ms,
            )
            self._journal.save("movements", movement)
        return movement

    def movements(self, account_id: int) -> list[Movement]:
        """Return all deposits and withdrawals, oldest first."""
        sql = "SELECT * FROM movements WHERE account_id = ? ORDER BY at_ms, movement_id"
        return self._journal.records(Movement, sql, (account_id,))

    def last_change_ms(self, account: Account) -> int:
        """Return when anything of the account last changed."""
        sql = """
            SELECT max(at_ms) FROM (
                SELECT max(updated_at_ms) AS at_ms FROM orders WHERE account_id = ?1
                UNION SELECT max(at_ms) FROM movements WHERE account_id = ?1)"""
        return int(self._journal.rows(sql, (account.account_id,))[0][0] or account.created_at_ms)

    # Orders

    def next_order_id(self, symbol: str) -> int:
        """Return the next order id of a symbol."""
        return self._journal.next_id(f"order {symbol}")

    def save_order(self, order: Order) -> Order:
        """Write an order as it is now and return it."""
        self._journal.save("orders", order)
        return order

    def order(self, symbol: str, order_id: int) -> Order | None:
        """Return one order."""
        found = self._orders("symbol = ? AND order_id = ?", (symbol, order_id))
        return found[0] if found else None

    def order_by_client_id(self, account_id: int, symbol: str, client_order_id: str) -> Order | None:
        """Return the newest order with a client order id, which is the open one if any is."""
        where = "account_id = ? AND symbol = ? AND client_order_id = ?"
        found = self._orders(where, (account_id, symbol, client_order_id))
        return max(found, key=lambda order: order.order_id, default=None)

    def open_orders(self, account_id: int | None = None, symbol: str | None = None) -> list[Order]:
        """Return open orders, of all accounts or symbols where none is named."""
        given = {"account_id": account_id, "symbol": symbol}
        where, values = _conditions({f"{name} =": value for name, value in given.items()})
        return self._orders(f"{_OPEN}{where}", values)

    def orders(self, account_id: int, page: Page) -> list[Order]:
        """Return an account's orders, open or not, by their id; a page's instants are those of placing."""
        return self._journal.records(Order, *page.to_query("orders", "order_id", "created_at_ms", account_id))

    def orders_of_list(self, order_list_id: int) -> list[Order]:
        """Return the orders of a list, in the order they were placed."""
        return self._orders("order_list_id >= 0 AND order_list_id = ?", (order_list_id,))

    def _orders(self, where: str, values: tuple[Any, ...]) -> list[Order]:
        sql = f"SELECT * FROM orders WHERE {where} ORDER BY symbol, order_id"  # noqa: S608 - our own conditions
        return self._journal.records(Order, sql, values)

    # Trades

    def next_trade_id(self, symbol: str) -> int:
        """Return the next trade id of a symbol."""
        return self._journal.next_id(f"trade {symbol}")

    def save_trade(self, trade: Trade) -> None:
        """Write a fill."""
        self._journal.save("trades", trade)

    def trades(self, account_id: int, page: Page) -> list[Trade]:
        """Return an account's fills by their id."""
        return self._journal.records(Trade, *page.to_query("trades", "trade_id", "at_ms", account_id))

    # Order lists

    def next_list_id(self) -> int:
        """Return the next order list id."""
        return self._journal.next_id("order list")

    def save_list(self, order_list: OrderList) -> OrderList:
        """Write an order list as it is now and return it."""
        self._journal.save("order_lists", order_list)
        return order_list

    def order_list(self, order_list_id: int) -> OrderList | None:
        """Return one order list."""
        found = self._journal.records(OrderList, "SELECT * FROM order_lists WHERE order_list_id = ?", (order_list_id,))
        return found[0] if found else None

    def find_list(self, account_id: int, order_list_id: int | None, client_id: str | None) -> OrderList | None:
        """Return an account's newest list that has all the names given, which is the open one if any is."""
        where, values = _conditions({"order_list_id =": order_list_id, "client_id =": client_id})
        sql = f"SELECT * FROM order_lists WHERE account_id = ?{where}"  # noqa: S608 - our own conditions
        found = self._journal.records(OrderList, sql, (account_id, *values))
        return max(found, key=lambda each: each.order_list_id, default=None)

    def order_lists(self, account_id: int, page: Page) -> list[OrderList]:
        """Return an account's order lists; a page's instants are those of their last change."""
        query = page.to_query("order_lists", "order_list_id", "updated_at_ms", account_id)
        return self._journal.records(OrderList, *query)

    def open_lists(self, account_id: int) -> list[OrderList]:
        """Return an account's lists of which an order is open, oldest first."""
        sql = "SELECT * FROM order_lists WHERE account_id = ? AND NOT is_done ORDER BY order_list_id"
        return self._journal.records(OrderList, sql, (account_id,))


def _conditions(given: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return " AND column op ?" for every value that is not None, and the values."""
    used = {column: value for column, value in given.items() if value is not None}
    return "".join(f" AND {column} ?" for column in used), tuple(used.values())
