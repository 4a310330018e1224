"""Chaos of single orders: processes place them, beside each other, while everything fails and they are killed by -9.

At the end every order is at the exchange once and was executed exactly once in its whole quantity, or was rejected with
a reason and not executed; nothing else was executed, and our fills, cash and fees are the exchange's.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess

from sqlalchemy import text

from deployments import postgres
from deployments.postgres_data import running_process
from lib.adapters.database.engine import make_engine
from lib.errors import EnvironmentRefused
from lib.execution.orders import OrderIntent
from tests.execution.books import compare_balances, compare_fills, compare_orders
from tests.execution.lives import PROCESSES, Step, silent, work_quietly
from tests.execution.mishaps import arm_something, take_away
from tests.execution.worker import AFTER_POST, POINTS, PRICES, SECRET, Task, choose_intents, run
from tests.simulators import RunningSimulator

ACCOUNTS = ("first", "second")
WORKERS = 3
FINISH_SECONDS = 90


@dataclass
class Chaos:
    """One run.

    Attributes:
        simulator: Whose books are the truth.
        database_url: Migrated.
        seed: Of every choice here; the machine's timing is its own.
        count: Orders.
        kill_database: Kills the server of the database by -9 and starts it again; None leaves it alone.
        show: Told how many more orders are at the exchange.
        counts: What happened.
        shown: Orders that were shown.
    """

    simulator: RunningSimulator
    database_url: str
    seed: int
    count: int
    kill_database: Callable[[], None] | None = None
    show: Step = silent
    shown: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float) -> list[str]:
        """Do everything; return what is wrong in the end, nothing when all is right."""
        self._open_accounts()
        intents = choose_intents(self.seed, ACCOUNTS, self.count, datetime.now(UTC))
        self._disturb(intents, seconds)
        self.simulator.control.clear_faults()
        last = self._start(intents, seed=0, die_at=None)
        last.join(FINISH_SECONDS)
        self._show_placed()
        if last.is_alive():
            last.kill()
            return [
                f"the orders are not finished {FINISH_SECONDS} s after the faults ended",
                *self._find_faults(intents),
            ]
        return self._find_faults(intents)

    def _open_accounts(self) -> None:
        self.simulator.control.scenario("flat")
        for symbol, price in PRICES.items():
            self.simulator.control.set_price(symbol.replace("/", ""), price)
        engine = make_engine(self.database_url)
        with engine.begin() as connection:
            for name in ACCOUNTS:
                held = {"USDT": "10000000", "BTC": "200", "ETH": "2000"}
                self.simulator.control.request("POST", "/accounts", api_key=name, api_secret=SECRET, balances=held)
                connection.execute(
                    text("INSERT INTO accounts VALUES (:name, 'live', 'simulator', 'USDT', now())"), {"name": name}
                )
        engine.dispose()

    def _disturb(self, intents: list[OrderIntent], seconds: float) -> None:
        """Arm faults and kill processes, whose places others take at once, until time is up or all is done."""
        choices = random.Random(self.seed)
        workers: list[BaseProcess] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for ended in [worker for worker in workers if not worker.is_alive()]:
                workers.remove(ended)
                self.counts["died at a point" if ended.exitcode == -9 else f"ended with {ended.exitcode}"] += 1
                if ended.exitcode == 0:
                    deadline = 0
            while len(workers) < WORKERS:
                point = choices.choice([None, AFTER_POST, *POINTS])
                workers.append(self._start(intents, choices.randrange(10**6), point, choices.randrange(4)))
            arm_something(self.simulator, choices, self.counts, symbol="ETHUSDT")  # a market order's rest never follows
            if choices.random() < 0.03:
                self._borrow(choices)
                self._show_placed()
            if choices.random() < 0.12:
                victim = workers.pop(choices.randrange(len(workers)))
                victim.kill()
                victim.join()
                self.counts["killed at random"] += 1
            if self.kill_database is not None and choices.random() < 0.01:
                self.kill_database()
                self.counts["database killed"] += 1
            time.sleep(choices.uniform(0.02, 0.15))  # the pace of the chaos
        for worker in workers:
            worker.kill()
            worker.join()

    def _show_placed(self) -> None:
        books = self.simulator.control.request("GET", "/books")["accounts"]
        there = sum(len(books[name]["orders"]) for name in ACCOUNTS)
        self.show(there - self.shown)
        self.shown = there

    def _borrow(self, choices: random.Random) -> None:
        """Take all of an asset away from an account for a moment: what is ordered meanwhile cannot be paid."""
        name, asset = choices.choice(ACCOUNTS), choices.choice(["USDT", "BTC", "ETH"])
        amount = take_away(self.simulator.control, name, asset)
        if amount is not None:
            time.sleep(0.2)  # the moment
            self.simulator.control.request("POST", "/deposit", api_key=name, asset=asset, amount=amount)
            self.counts[f"{asset} away for a moment"] += 1

    def _start(self, intents: list[OrderIntent], seed: int, die_at: str | None, die_after: int = 0) -> BaseProcess:
        task = Task(self.database_url, self.simulator.url, ACCOUNTS, tuple(intents), seed, die_at, die_after)
        worker = PROCESSES.Process(target=work_quietly, args=(run, task), daemon=True)
        worker.start()
        return worker

    def _find_faults(self, intents: list[OrderIntent]) -> list[str]:
        """Compare the simulator's books with what was wanted, and with what we stored."""
        books = self.simulator.control.request("GET", "/books")["accounts"]
        engine = make_engine(self.database_url)
        problems: list[str] = []
        with engine.connect() as connection:
            stored = set(connection.scalars(text("SELECT client_order_id FROM order_intents")))
            problems += [f"{one.client_order_id}: lost" for one in intents if one.client_order_id not in stored]
            for name in ACCOUNTS:
                problems += compare_orders(connection, name, books[name])
                problems += compare_fills(connection, name, books[name])
                problems += compare_balances(connection, name, books[name])
            for what, query in (("orders", "orders.state"), ("attempts", "outcome")):
                table = "orders" if what == "orders" else "order_attempts"
                for outcome, count in connection.execute(text(f"SELECT {query}, count(*) FROM {table} GROUP BY 1")):
                    self.counts[f"{what} {outcome}"] += count
        engine.dispose()
        return problems


def restart_killed(server: postgres.Server) -> None:
    """Kill the postmaster by -9, and start it again as soon as what it left behind has ended."""
    process = running_process((server.data_dir / "cluster").resolve())
    if process is None:
        raise LookupError(f"No server runs in {server.data_dir}.")
    process.kill()
    process.wait(30)
    deadline = time.monotonic() + 30
    while True:
        try:
            postgres.start(server.data_dir, server.port)
        except EnvironmentRefused:
            if time.monotonic() > deadline:
                raise
        else:
            return
