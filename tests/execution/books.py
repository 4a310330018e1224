"""Comparing what we stored with the simulator's own books, which know nothing of us."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tests.execution.mishaps import HAND

Book = dict[str, Any]
Amounts = defaultdict[str, Decimal]
COLUMNS = "replace(symbol, '/', ''), fill_id, price, quantity, fee, fee_asset, side"
ORDER_FILLS = f"SELECT {COLUMNS} FROM order_fills WHERE account = :account"
LEDGER_FILLS = f"SELECT {COLUMNS} FROM fills WHERE account = :account"
ROUNDED = Decimal("1e-9")  # quotients of the ledger end at eighteen decimals


class Trade(NamedTuple):
    """One execution, ours or theirs; `symbol` as "BTCUSDT"."""

    symbol: str
    fill_id: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    side: str


def compare_orders(connection: Connection, account: str, book: Book) -> list[str]:
    """Check that every order of ours is there once, whole or stopped with a reason, and that none is theirs alone."""
    query = text("SELECT * FROM orders JOIN order_intents USING (account, client_order_id) WHERE account = :account")
    ours = {row.client_order_id: row for row in connection.execute(query, {"account": account})}
    there = [order for order in book["orders"] if not order["client_order_id"].startswith(HAND)]
    times = Counter(order["client_order_id"] for order in there)
    problems = [f"{one}: {count} orders" for one, count in times.items() if count != 1 or one not in ours]
    executed = {order["client_order_id"]: Decimal(order["executed"]) for order in there}
    resting = {order["client_order_id"] for order in there if order["status"] in ("NEW", "PARTIALLY_FILLED")}
    for name, row in ours.items():
        done = executed.get(name, Decimal(0))
        if name in resting and row.kind in ("stop_loss_limit", "limit_maker"):
            continue  # it protects a position
        if row.state not in ("filled", "expired", "rejected", "cancelled"):
            problems.append(f"{name}: {row.state} at the end")
        elif row.state == "filled" and done != row.quantity:
            problems.append(f"{name}: executed {done} of {row.quantity}")
        elif row.state == "rejected" and (done or not row.reason):
            problems.append(f"{name}: rejected for {row.reason!r}, executed {done}")
    return problems


def compare_fills(connection: Connection, account: str, book: Book) -> list[str]:
    """Check that the fills of our orders are the exchange's trades, to the last digit."""
    theirs = [one for one, is_ours in _list_trades(book) if is_ours]
    return _differ("only one side knows the fill", _read(connection, ORDER_FILLS, account), theirs)


def compare_ledger(connection: Connection, account: str, book: Book) -> list[str]:
    """Check that the ledger has every trade, also of other hands, and that its positions follow from the trades."""
    theirs = [one for one, _ in _list_trades(book)]
    problems = _differ("only one of ledger and exchange knows", _read(connection, LEDGER_FILLS, account), theirs)
    for symbol in {one.symbol for one in theirs}:
        problems += _compare_positions(connection, account, [one for one in theirs if one.symbol == symbol])
    return problems


def compare_balances(connection: Connection, account: str, book: Book, *, of_ledger: bool = False) -> list[str]:
    """Check that the fills we stored and the exchange's cash flows explain what it holds.

    Args:
        connection: To our database.
        account: Whose.
        book: The exchange's.
        of_ledger: By the ledger's fills; otherwise by those of our orders, with the book's trades of other hands.
    """
    left: Amounts = defaultdict(Decimal)
    for flow in book["movements"]:
        amount, fee = Decimal(flow["amount"]), Decimal(flow["fee"])
        left[flow["asset"]] += amount if flow["kind"] == "DEPOSIT" else -amount - fee
    for one in _read(connection, LEDGER_FILLS if of_ledger else ORDER_FILLS, account):
        _move(left, one)
    for one, is_ours in _list_trades(book):
        if not is_ours and not of_ledger:
            _move(left, one)
    has = {asset: Decimal(one["free"]) + Decimal(one["locked"]) for asset, one in book["balances"].items()}
    wrong = [asset for asset in {*left, *has} if left.get(asset, 0) != has.get(asset, 0)]
    return [f"{asset}: {has.get(asset, 0)} there, {left.get(asset, 0)} by our fills" for asset in wrong]


def _compare_positions(connection: Connection, account: str, trades: Sequence[Trade]) -> list[str]:
    """Check quantity, cash and fees of one symbol's positions against the exchange's trades of it."""
    symbol = trades[0].symbol.removesuffix("USDT") + "/USDT"
    left: Amounts = defaultdict(Decimal)
    for one in trades:
        _move(left, one)
    query = text("SELECT * FROM positions WHERE account = :account AND symbol = :symbol ORDER BY opened_at, opened_by")
    rows = connection.execute(query, {"account": account, "symbol": symbol}).all()
    if not rows:
        return [f"{symbol}: no position"]
    found = {"quantity": (rows[-1].quantity, left[symbol.removesuffix("/USDT")])}
    if not any(one.fee_asset == "BNB" for one in trades):  # the value of such a fee is no cash of the quote
        earned = sum((row.realized_pnl_quote for row in rows), -rows[-1].cost_quote)
        found["cash"] = (earned, left["USDT"])
        fees = sum((row.fees_quote for row in rows), Decimal(0))
        found["fees"] = (fees, sum((one.fee * (1 if one.side == "sell" else one.price) for one in trades), Decimal(0)))
    return [
        f"{symbol}: {what} {ours} by the positions, {theirs} by their trades"
        for what, (ours, theirs) in found.items()
        if abs(ours - theirs) > ROUNDED
    ]


def _list_trades(book: Book) -> list[tuple[Trade, bool]]:
    """Return the exchange's trades, each with whether it is of an order of ours."""
    names = {(order["symbol"], order["order_id"]): order["client_order_id"] for order in book["orders"]}
    listed = []
    for one in book["trades"]:
        price, quantity, fee = (Decimal(one[of]) for of in ("price", "quantity", "fee"))
        side = one["side"].lower()
        trade = Trade(one["symbol"], one["trade_id"], price, quantity, fee, one["fee_asset"], side)
        listed.append((trade, not names[one["symbol"], one["order_id"]].startswith(HAND)))
    return listed


def _read(connection: Connection, query: str, account: str) -> list[Trade]:
    return [Trade(*row) for row in connection.execute(text(query), {"account": account})]


def _move(left: Amounts, one: Trade) -> None:
    sign = 1 if one.side == "buy" else -1
    left[one.symbol.removesuffix("USDT")] += sign * one.quantity
    left["USDT"] -= sign * one.quantity * one.price
    left[one.fee_asset] -= one.fee


def _differ(what: str, ours: Sequence[Trade], theirs: Sequence[Trade]) -> list[str]:
    return [f"{what}: {one}" for one in set(ours) ^ set(theirs)]
