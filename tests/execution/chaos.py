"""Chaos: many processes place orders while everything fails at random and processes are killed by -9.

    make chaos                      400 single orders, then 200 whole plans, then 200 tickets with their exits
    make chaos ARGS="--seed 17"     the choices of an earlier run again (the machine's timing is its own)
    make chaos ARGS="--orders 0 --plans 0 --tickets 20"

At the end the simulator's own books are compared with ours (`tests.execution.books`): every intent has one order there,
executed exactly once in its whole quantity, or was rejected with a reason and not executed; nothing else was executed,
and our fills, cash and fees equal theirs to the last digit. Of plans and tickets, see `tests.execution.plan_chaos` and
`tests.execution.ticket_chaos`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import text

from deployments import postgres
from deployments.postgres_data import running_process
from lib.adapters.database.engine import make_engine
from lib.errors import EnvironmentRefused
from lib.execution.orders import OrderIntent
from tests.databases import TEMPLATE, ensure_migrated, new_database, remove, session_folder
from tests.execution.books import compare_balances, compare_fills, compare_orders
from tests.execution.lives import PROCESSES, Fray, Step, silent, work_quietly
from tests.execution.mishaps import arm_something, take_away
from tests.execution.plan_chaos import PlanChaos
from tests.execution.ticket_chaos import SYMBOLS, TicketChaos
from tests.execution.worker import POINTS, PRICES, SECRET, Task, choose_intents, run
from tests.simulators import RunningSimulator, running_simulator

ACCOUNTS = ("first", "second")
WORKERS = 3
FINISH_SECONDS = 90
SECONDS_A_LIFE = 15  # of a plan or ticket, at most, with many at once
PLANS_AT_ONCE = 14


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
    """

    simulator: RunningSimulator
    database_url: str
    seed: int
    count: int
    kill_database: Callable[[], None] | None = None
    show: Step = silent
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float) -> list[str]:
        """Do everything; return what is wrong in the end, nothing when all is right."""
        self._open_accounts()
        intents = choose_intents(self.seed, ACCOUNTS, self.count, datetime.now(UTC))
        self._disturb(intents, seconds)
        self.simulator.control.clear_faults()
        last = self._start(intents, seed=0, die_at=None)
        last.join(FINISH_SECONDS)
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
        placed = 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for ended in [worker for worker in workers if not worker.is_alive()]:
                workers.remove(ended)
                self.counts["died at a point" if ended.exitcode == -9 else f"ended with {ended.exitcode}"] += 1
                if ended.exitcode == 0:
                    deadline = 0
            while len(workers) < WORKERS:
                point = choices.choice([None, *POINTS])
                workers.append(self._start(intents, choices.randrange(10**6), point, choices.randrange(4)))
            arm_something(self.simulator, choices, self.counts, symbol="ETHUSDT")  # a market order's rest never follows
            if choices.random() < 0.03:
                self._borrow(choices)
                there = self._count_placed()
                self.show(there - placed)
                placed = there
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

    def _count_placed(self) -> int:
        books = self.simulator.control.request("GET", "/books")["accounts"]
        return sum(len(books[name]["orders"]) for name in ACCOUNTS)

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


@dataclass
class Show:
    """Runs each kind of chaos, with a bar and a line of what happened.

    Attributes:
        server: Of the databases; durable, since it is killed, too.
        seed: Of every choice.
        folder: For what processes leave to their heirs.
        problems: Everything that was wrong.
    """

    server: postgres.Server
    seed: int
    folder: Path
    problems: list[str] = field(default_factory=list)

    def orders(self, count: int, seconds: float) -> None:
        """Single orders of two accounts."""
        with self._world("orders", count) as (simulator, url, show):
            chaos = Chaos(simulator, url, self.seed, count, self._kill, show)
            self._tell("orders", chaos.run(seconds), chaos.counts)

    def plans(self, count: int) -> None:
        """Whole plans, each of an account of its own."""
        with self._world("plans", count) as (simulator, url, show):
            fray = Fray(simulator, self.seed, PLANS_AT_ONCE, self._kill, show=show)
            self._tell("plans", PlanChaos(fray, url, count, self.folder).run(SECONDS_A_LIFE * count), fray.counts)

    def tickets(self, count: int) -> None:
        """Tickets and exits, each of an account of its own."""
        with self._world("tickets", count) as (simulator, url, show):
            fray = Fray(simulator, self.seed, len(SYMBOLS), self._kill, show=show)
            self._tell("tickets", TicketChaos(fray, url, count, self.folder).run(SECONDS_A_LIFE * count), fray.counts)

    def _kill(self) -> None:
        restart_killed(self.server)

    @contextmanager
    def _world(self, what: str, count: int) -> Iterator[tuple[RunningSimulator, str, Step]]:
        bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with (
            new_database(self.server, TEMPLATE) as url,
            running_simulator(weight_limit_per_minute=10**6) as simulator,
            bar,
        ):
            task = bar.add_task(what, total=count)
            yield simulator, url, lambda steps: bar.advance(task, steps)

    def _tell(self, what: str, problems: list[str], counts: Counter[str]) -> None:
        self.problems += [f"{what}: {one}" for one in problems]
        happened = "".join(f"\n  {name}: {count}" for name, count in sorted(counts.items()))
        print(f"seed {self.seed}, {what}: {len(problems)} wrong{happened}", flush=True)


def main() -> None:
    """Run chaos from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=120, help="of single orders")
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--tickets", type=int, default=200)
    given, folder = parser.parse_args(), session_folder()
    try:
        server = postgres.start(folder / "postgres")
        ensure_migrated(server)
        show = Show(server, given.seed, folder)
        if given.orders:
            show.orders(given.orders, given.seconds)
        if given.plans:
            show.plans(given.plans)
        if given.tickets:
            show.tickets(given.tickets)
    finally:
        remove(folder)
    right = "Nothing was executed twice, and our fills, positions, cash and fees are the exchange's."
    print("\n".join([*show.problems, f'Again: make chaos ARGS="--seed {given.seed}"']) if show.problems else right)
    raise SystemExit(bool(show.problems))


if __name__ == "__main__":
    main()
