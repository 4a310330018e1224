"""The books outlive the process that writes them."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from lib.simulator.books import Books, OverdrawnError, Page
from lib.simulator.journal import Journal, JournalError
from lib.simulator.records import Balance
from tests.simulator.paper_market import START_MS, PaperExchange, open_paper_exchange


def reopened(exchange: PaperExchange, path: Path) -> PaperExchange:
    exchange.books.close()
    return open_paper_exchange(books=Books(Journal(path)))


def test_a_restart_continues_the_same_books_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    exchange = open_paper_exchange(books=Books(Journal(path)), USDT="1000", BTC="3")
    exchange.order("BUY", "MARKET", quantity="1.5")
    resting = exchange.order("SELL", "LIMIT", quantity="1", price="110", client_order_id="mine")
    before = (
        exchange.books.accounts(),
        exchange.books.balances(1),
        exchange.books.orders(1, Page()),
        exchange.books.trades(1, Page()),
        exchange.books.movements(1),
    )
    exchange = reopened(exchange, path)
    after = (
        exchange.books.accounts(),
        exchange.books.balances(1),
        exchange.books.orders(1, Page()),
        exchange.books.trades(1, Page()),
        exchange.books.movements(1),
    )
    assert after == before
    assert exchange.order("BUY", "MARKET", quantity="1").order_id == resting.order_id + 1
    assert [trade.trade_id for trade in exchange.books.trades(1, Page())] == [1, 2]
    exchange.pass_time(60, price="111")
    assert exchange.look(resting).status == "FILLED"
    exchange.books.close()


def test_an_id_is_not_given_again_after_a_refused_order(tmp_path: Path) -> None:
    exchange = open_paper_exchange(books=Books(Journal(tmp_path / "books.sqlite")))
    ids = [exchange.order("BUY", "LIMIT", quantity="0.1", price="99").order_id for _ in range(3)]
    assert ids == [1, 2, 3]
    exchange.books.close()


def test_a_change_that_fails_half_way_is_not_booked() -> None:
    books = open_paper_exchange(USDT="10").books
    with pytest.raises(OverdrawnError), books.transaction():
        books.deposit(1, "BTC", Decimal(1), START_MS)
        books.withdraw(1, "USDT", Decimal(11), Decimal(0), START_MS)
    assert books.balances(1) == {"USDT": Balance(Decimal(10), Decimal(0))}
    assert len(books.movements(1)) == 1


def test_books_in_use_are_not_opened_twice(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    first = Journal(path)
    with pytest.raises(JournalError, match="Stop the simulator that uses them"):
        Journal(path)
    first.close()
    Journal(path).close()


def test_a_file_that_is_no_journal_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    path.write_text("these are no books, whoever wrote them")
    with pytest.raises(JournalError, match=r"books\.sqlite.*name another file"):
        Journal(path)


def test_books_of_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite"
    journal = Journal(path)
    journal.execute("PRAGMA user_version = 99")
    journal.close()
    with pytest.raises(JournalError, match="version 99"):
        Journal(path)


def test_a_full_disk_books_nothing_and_is_survived(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "books.sqlite")
    exchange = open_paper_exchange(books=Books(journal), USDT="10000")
    journal.execute("PRAGMA max_page_count = 1")  # as small as it is now
    placed = 0
    with pytest.raises(sqlite3.OperationalError, match="full"):
        while True:
            exchange.order("BUY", "MARKET", quantity="0.05")
            placed += 1
    check_explained(exchange.books)
    assert len(exchange.books.orders(1, Page())) == placed
    journal.execute("PRAGMA max_page_count = 100000")
    assert exchange.order("BUY", "MARKET", quantity="0.05").order_id == placed + 1
    exchange.books.close()


@pytest.mark.parametrize("orders_before", [1, 2, 17])
def test_a_kill_between_any_two_changes_leaves_whole_changes(tmp_path: Path, orders_before: int) -> None:
    path = tmp_path / "books.sqlite"
    trader = subprocess.Popen(
        [sys.executable, "-m", "tests.simulator.endless_trader", str(path)], stdout=subprocess.PIPE, text=True
    )
    assert trader.stdout is not None
    told = [trader.stdout.readline().strip() for _ in range(orders_before + 1)]
    trader.send_signal(signal.SIGKILL)
    told += trader.stdout.read().split()
    trader.wait(timeout=30)
    trader.stdout.close()

    books = Books(Journal(path))
    orders = {order.order_id: order for order in books.orders(1, Page())}
    assert set(map(int, told[1:])) <= set(orders)  # what was answered is there
    assert list(orders) == list(range(1, len(orders) + 1))
    check_explained(books)
    exchange = open_paper_exchange(books=books)
    assert exchange.order("BUY", "MARKET", quantity="1").order_id == len(orders) + 1
    check_explained(books)
    books.close()


def check_explained(books: Books) -> None:
    """Compare balances with deposits and trades, and orders with their trades."""
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for movement in books.movements(1):
        expected[movement.asset] += movement.amount
    filled: dict[int, Decimal] = defaultdict(Decimal)
    for trade in books.trades(1, Page()):
        sign = 1 if trade.side == "BUY" else -1
        expected["BTC"] += sign * trade.quantity
        expected["USDT"] -= sign * trade.quote_quantity
        expected[trade.fee_asset] -= trade.fee
        filled[trade.order_id] += trade.quantity
    assert {asset: balance.free + balance.locked for asset, balance in books.balances(1).items()} == expected
    assert {order.order_id: order.executed for order in books.orders(1, Page()) if order.executed} == filled
