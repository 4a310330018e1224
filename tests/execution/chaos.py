"""Chaos: many processes place orders while everything fails at random and processes are killed by -9.

    make chaos                      400 single orders, then 200 whole plans; a seed of the day
    make chaos ARGS="--seed 17"     the choices of an earlier run again (the machine's timing is its own)

At the end the simulator's own books are compared with ours: every intent has exactly one order there and was executed
exactly once in its whole quantity, nothing else was executed, and our fills equal theirs to the last digit. Of whole
plans, see `tests.execution.plan_chaos`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.process import BaseProcess
from typing import Any

from sqlalchemy import text

from deployments import postgres
from deployments.postgres_data import running_process
from lib.adapters.database.engine import make_engine
from lib.errors import EnvironmentRefused
from lib.execution.orders import OrderIntent
from tests.databases import TEMPLATE, ensure_migrated, new_database, remove, session_folder
from tests.execution.worker import POINTS, PRICES, SECRET, Task, choose_intents, run
from tests.simulators import RunningSimulator, running_simulator

ACCOUNTS = ("first", "second")
WORKERS = 3
FINISH_SECONDS = 90
SECONDS_A_PLAN = 15  # at most, with fourteen at once
PROCESSES = multiprocessing.get_context("forkserver")  # ccxt and the rest are imported once, in the server
PROCESSES.set_forkserver_preload(["tests.execution.worker", "tests.execution.plan_worker"])
POST, GET, FILLS = ("POST", "/api/v3/order"), ("GET", "/api/v3/order"), ("GET", "/api/v3/myTrades")
FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("timeout_before", {"seconds": 1}),
    ("timeout_after", {"seconds": 1}),
    *[("delay", {"seconds": 0.8})] * 3,  # booked after the client has gone
    *[("delay", {"seconds": 1.3})] * 2,  # refused, since its attempt is too old by then
    *[("delay", {"seconds": 2.5})] * 2,  # so too, when its place may have been taken by another attempt
    ("drop_before", {}),
    ("drop_after", {}),
    ("unknown_before", {}),
    ("unknown_after", {}),
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status", {"status": 429, "retry_after": 1}),
    ("timestamp", {}),
    ("body", {"variant": "empty"}),
    ("body", {"variant": "truncated"}),
    ("body", {"variant": "html"}),
    ("types", {"variant": "numbers_as_text"}),
    ("types", {"variant": "nan"}),
)


@dataclass
class Chaos:
    """One run.

    Attributes:
        simulator: Whose books are the truth.
        database_url: Migrated.
        seed: Of every choice here; the machine's timing is its own.
        count: Orders.
        kill_database: Kills the server of the database by -9 and starts it again; None leaves it alone.
        counts: What happened.
    """

    simulator: RunningSimulator
    database_url: str
    seed: int
    count: int
    kill_database: Callable[[], None] | None = None
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
            arm_something(self.simulator, choices, self.counts)
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

    def _start(self, intents: list[OrderIntent], seed: int, die_at: str | None, die_after: int = 0) -> BaseProcess:
        task = Task(self.database_url, self.simulator.url, ACCOUNTS, tuple(intents), seed, die_at, die_after)
        worker = PROCESSES.Process(target=run, args=(task,), daemon=True)
        worker.start()
        return worker

    def _find_faults(self, intents: list[OrderIntent]) -> list[str]:
        """Compare the simulator's books with what was wanted, and with what we stored."""
        books = self.simulator.control.request("GET", "/books")["accounts"]
        problems: list[str] = []
        for name in ACCOUNTS:
            wanted = {intent.client_order_id: intent for intent in intents if intent.account == name}
            there = Counter(order["client_order_id"] for order in books[name]["orders"])
            problems += [f"{one}: {times} orders" for one, times in there.items() if times != 1 or one not in wanted]
            problems += [f"{one}: lost" for one in wanted if one not in there]
            for order in books[name]["orders"]:
                one = order["client_order_id"]
                if one in wanted and Decimal(order["executed"]) != wanted[one].quantity:
                    problems.append(f"{one}: executed {order['executed']} of {wanted[one].quantity}")
            problems += self._compare_fills(name, books[name])
        return problems

    def _compare_fills(self, name: str, book: dict[str, Any]) -> list[str]:
        names = {(order["symbol"], order["order_id"]): order["client_order_id"] for order in book["orders"]}
        theirs = {
            (
                trade["trade_id"],
                names[trade["symbol"], trade["order_id"]],
                *(Decimal(trade[of]) for of in ("price", "quantity", "fee")),
            )
            for trade in book["trades"]
        }
        engine = make_engine(self.database_url)
        with engine.connect() as connection:
            query = "SELECT fill_id, client_order_id, price, quantity, fee FROM order_fills WHERE account = :name"
            ours = {tuple(row) for row in connection.execute(text(query), {"name": name})}
            query = "SELECT client_order_id, state FROM orders WHERE account = :name AND state <> 'filled'"
            unfinished = [f"{one}: {state}" for one, state in connection.execute(text(query), {"name": name})]
            attempts = "SELECT outcome, count(*) FROM order_attempts WHERE account = :name GROUP BY outcome"
            for outcome, count in connection.execute(text(attempts), {"name": name}):
                self.counts[f"attempts {outcome}"] += count
        engine.dispose()
        return [*unfinished, *(f"a fill that only one side knows: {one}" for one in theirs ^ ours)]


def arm_something(simulator: RunningSimulator, choices: random.Random, counts: Counter[str]) -> None:
    """Arm a fault that strikes soon, and count it."""
    method, path = choices.choices([POST, GET, FILLS], weights=[6, 2, 2])[0]
    if choices.random() < 0.1:
        simulator.control.arm("partial_fill", symbol="ETHUSDT", fraction="0.5", hold_seconds=1)
        counts["armed partial_fill"] += 1
        return
    kind, how = choices.choice(FAULTS)
    if len(simulator.control.request("GET", "/faults")["faults"]) >= 3:  # some wait long for their request
        simulator.control.clear_faults()
    simulator.control.arm(kind, path, method, **how)
    counts[f"armed {kind} {method}"] += 1


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


def main() -> None:
    """Run chaos from the command line."""
    from tests.execution.plan_chaos import PlanChaos  # which is made of parts of this module

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=120, help="of single orders")
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--plans", type=int, default=200)
    given = parser.parse_args()
    folder, problems = session_folder(), list[str]()
    try:
        server = postgres.start(folder / "postgres")  # durable: it is killed, too
        ensure_migrated(server)

        def kill_database() -> None:
            restart_killed(server)

        with new_database(server, TEMPLATE) as url, running_simulator(weight_limit_per_minute=10**6) as simulator:
            chaos = Chaos(simulator, url, given.seed, given.orders, kill_database)
            problems += chaos.run(given.seconds)
        print(f"seed {given.seed}, {given.orders} orders: {dict(sorted(chaos.counts.items()))}", flush=True)
        with new_database(server, TEMPLATE) as url, running_simulator(weight_limit_per_minute=10**6) as simulator:
            plans = PlanChaos(simulator, url, given.seed, given.plans, kill_database=kill_database)
            problems += plans.run(SECONDS_A_PLAN * given.plans)
        print(f"seed {given.seed}, {given.plans} plans: {dict(sorted(plans.counts.items()))}")
    finally:
        remove(folder)
    print("\n".join(problems) or "Everything was executed once, and our fills, cash and fees are the exchange's.")
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
