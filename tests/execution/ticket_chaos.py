"""Chaos of tickets and exits: positions are opened, their stop losses crossed and sold, while everything fails.

At the end the simulator's own books are compared with ours: every ticket has one order there at most, fills, cash and
fees of our orders and of our ledger are theirs to the last digit, positions are what their trades leave, and each
ticket and exit has ended, or waits with a stated reason, and was told once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from lib.adapters.database.engine import make_engine
from lib.allocation.stores import Decision
from lib.portfolio.exits import ExitPolicy
from tests.execution.books import Book, compare_balances, compare_fills, compare_ledger, compare_orders
from tests.execution.lives import MOST_DEATHS, Fray, Life
from tests.execution.mishaps import Deed, OtherHand
from tests.execution.ticket_worker import TICKET_POINTS, TicketTask, trade
from tests.execution.worker import SECRET

SYMBOLS = {  # and prices: a symbol for each life at a time
    "BTC": Decimal(50_000),
    "ETH": Decimal(3_000),
    "SOL": Decimal(100),
    "ADA": Decimal(1),
    "DOT": Decimal(5),
    "AVAX": Decimal(20),
    "LINK": Decimal(20),
    "ATOM": Decimal(5),
}
SYMBOL = (
    "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
    " min_notional, status_since, refreshed_at) VALUES (:name, :base, 'USDT', 'main', 'trading', :price_step,"
    " :quantity_step, :min_quantity, :min_notional, now(), now())"
)


@dataclass
class TicketChaos:
    """One run of many lives.

    Attributes:
        fray: Where they are lived; its simulator's books are the truth.
        database_url: Migrated.
        count: Lives.
        folder: Empty; for what processes leave to their heirs.
    """

    fray: Fray
    database_url: str
    count: int
    folder: Path

    def run(self, seconds: float) -> list[str]:
        """Live all lives; return what is wrong in the end, nothing when all is right."""
        engine = make_engine(self.database_url)
        self._open_market(engine)
        engine.dispose()  # its connections would be of a server that is killed
        lives = [self._open(number) for number in range(self.count)]
        problems = self.fray.live(lives, seconds, self._begin)
        self.fray.settle([life for life in lives if life.task.protects and life.task.symbol], seconds)
        books = self.fray.simulator.control.request("GET", "/books")["accounts"]
        with engine.connect() as connection:
            for life in lives:
                wrong = self._find_faults(connection, life.task, books[life.task.account])
                problems += [f"{life.task.account} ({life.task.symbol}, {life.task.policy}): {one}" for one in wrong]
        engine.dispose()
        return problems

    def _open_market(self, engine: Engine) -> None:
        self.fray.simulator.control.scenario("flat")
        listed = {one["symbol"]: one for one in self.fray.simulator.get("/exchangeInfo")["symbols"]}
        with engine.begin() as connection:
            for base in SYMBOLS:
                filters = {one["filterType"]: one for one in listed[f"{base}USDT"]["filters"]}
                steps = {
                    "price_step": filters["PRICE_FILTER"]["tickSize"],
                    "quantity_step": filters["LOT_SIZE"]["stepSize"],
                    "min_quantity": filters["LOT_SIZE"]["minQty"],
                    "min_notional": filters["NOTIONAL"]["minNotional"],
                }
                connection.execute(text(SYMBOL), {"name": f"{base}/USDT", "base": base} | steps)

    def _open(self, number: int) -> Life:
        """Open an account with cash; everything about its life is chosen by the seed and its number."""
        choices = random.Random(f"{self.fray.seed}:{number}")
        name = f"ticket-{self.fray.seed}-{number}"
        pays_in_bnb = choices.random() < 0.25
        balances = {"USDT": "5000"} | ({"BNB": "1"} if pays_in_bnb else {})
        self.fray.simulator.control.request(
            "POST", "/accounts", api_key=name, api_secret=SECRET, balances=balances, fees_in_bnb=pays_in_bnb
        )
        deed = choices.choice([None, None, *Deed])
        task = TicketTask(
            database_url=self.database_url,
            simulator_url=self.fray.simulator.url,
            account=name,
            symbol="",
            price=Decimal(0),
            policy=choices.choices(list(ExitPolicy), weights=[3, 3, 4])[0],
            opens=Decision.REJECTED if choices.random() < 0.05 else Decision.APPROVED,
            sells=Decision.REJECTED if choices.random() < 0.15 else Decision.APPROVED,
            protects=choices.random() < 0.4,
            notes=self.folder / f"{name}.txt",
            other_hand=OtherHand(deed, self.fray.simulator.url, name, self.folder / f"{name}.{choices.randrange(2)}")
            if deed
            else None,
        )
        return Life(task, trade, TICKET_POINTS, choices, choices.randrange(MOST_DEATHS + 1))

    def _begin(self, life: Life, slot: int) -> None:
        base, price = list(SYMBOLS.items())[slot]
        self.fray.simulator.control.set_price(f"{base}USDT", price)
        life.task = replace(life.task, symbol=f"{base}/USDT", price=price)

    def _find_faults(self, connection: Connection, task: TicketTask, book: Book) -> list[str]:
        name = task.account
        problems = compare_orders(connection, name, book)
        problems += compare_fills(connection, name, book)
        problems += compare_ledger(connection, name, book)
        problems += compare_balances(connection, name, book, of_ledger=True)
        orders = "SELECT * FROM order_tickets LEFT JOIN orders USING (account, client_order_id) WHERE account = :name"
        exits = text("SELECT * FROM position_exits WHERE account = :name")
        notes = task.notes.read_text() if task.notes.exists() else ""
        wanted = {row.exit_id: row for row in connection.execute(exits, {"name": name})}
        for ticket in connection.execute(text(orders), {"name": name}):
            problems += self._judge_ticket(connection, ticket, wanted, notes)
        for row in wanted.values():
            self.fray.counts[f"exits {row.state}"] += 1
            problems += (
                [] if row.note and row.state != "started" else [f"exit {row.exit_id} is {row.state}: {row.note}"]
            )
        protections = text("SELECT count(*) FROM order_protections WHERE account = :name")
        self.fray.counts["protections"] += connection.scalar(protections, {"name": name})
        return problems + _judge_stop(connection, task)

    def _judge_ticket(
        self, connection: Connection, ticket: Row[Any], wanted: Mapping[int, Row[Any]], notes: str
    ) -> list[str]:
        """Check that a ticket was told once when it was filled, or has a reason why it was not."""
        key = {"account": ticket.account, "client_order_id": ticket.client_order_id}
        fills = connection.scalar(
            text("SELECT count(*) FROM order_fills WHERE (account, client_order_id) = (:account, :client_order_id)"),
            key,
        )
        told = connection.scalar(
            text("SELECT count(*) FROM notifications WHERE deduplication_key LIKE :key"),
            {"key": f"executed:%{ticket.client_order_id}%"},
        )
        name = f"{ticket.side} ticket {ticket.client_order_id}"
        problems = [] if told == bool(fills) else [f"{name}: told {told} times, {fills} fills"]
        if fills:
            self.fray.counts[f"tickets to {ticket.side} executed"] += 1
            return problems + ([] if ticket.settled_at else [f"{name}: not settled"])
        self.fray.counts[f"tickets to {ticket.side} stopped"] += 1
        is_told = ticket.reason or ticket.decision == "rejected" or notes
        of_exit = wanted.get(ticket.exit_id)
        return problems + ([] if is_told or (of_exit is not None and of_exit.note) else [f"{name}: nothing says why"])


def _judge_stop(connection: Connection, task: TicketTask) -> list[str]:
    """Check that what a ticket has bought has its stop loss."""
    query = text("""
        SELECT stop_loss FROM positions WHERE account = :name AND closed_at IS NULL AND EXISTS (
            SELECT FROM order_fills AS fill WHERE fill.account = :name AND fill.side = 'buy')
    """)
    stops = connection.scalars(query, {"name": task.account}).all()
    return [f"a position with the stop loss {stop}" for stop in stops if stop != task.price * Decimal("0.95")]
