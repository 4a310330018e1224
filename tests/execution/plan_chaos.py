"""Chaos of whole plans: approved rebalance plans are carried out while everything fails and processes are killed by -9.

At the end the simulator's own books are compared with ours: every leg has one order there at most, our fills, cash and
fees are theirs to the last digit, and each plan is done, or failed with a stated reason, and was told once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.process import BaseProcess
from typing import Any

from sqlalchemy import Connection, Engine, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.rebalancing import DatabasePlans
from lib.allocation.holdings import Asset, Portfolio
from lib.allocation.plan import plan_rebalance
from lib.allocation.stores import Approval, Decision
from lib.execution.orders import make_client_order_id
from lib.portfolio.fills import Side
from tests.execution.chaos import PROCESSES, arm_something
from tests.execution.plan_worker import PLAN_POINTS, SYMBOLS, TARGETS, PlanTask, carry_out
from tests.execution.worker import SECRET
from tests.simulators import RunningSimulator

PRICES = {"BTC": Decimal(50_000), "ETH": Decimal(3_000), "SOL": Decimal(100)}
STEPS = {"BTC": "0.00001", "ETH": "0.0001", "SOL": "0.001"}
MOST_DEATHS = 3
FAULTS_A_PLAN = 0.06  # of a plan that runs, at each look: few enough that most orders end within seconds
SYMBOL = (
    "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
    " min_notional, status_since, refreshed_at) VALUES (:name, :base, 'USDT', 'main', 'trading', 0.01,"
    " :step, :step, 5, now(), now())"
)


@dataclass
class Life:
    """One plan and the process that carries it out.

    Attributes:
        task: What the process does.
        choices: Where it dies.
        deaths: How many are left to it.
        held: What the account had at the start.
        worker: Its process, when one runs.
    """

    task: PlanTask
    choices: random.Random
    deaths: int
    held: dict[str, Decimal]
    worker: BaseProcess | None = None

    def start(self) -> None:
        """Start a process, that dies at some point while deaths are left."""
        point = self.choices.choice(PLAN_POINTS) if self.deaths > 0 else None
        self.deaths -= 1
        task = replace(self.task, die_at=point, die_after=self.choices.randrange(3))
        self.worker = PROCESSES.Process(target=carry_out, args=(task,), daemon=True)
        self.worker.start()


@dataclass
class PlanChaos:
    """One run of many plans, each of an account of its own.

    Attributes:
        simulator: Whose books are the truth.
        database_url: Migrated.
        seed: Of every choice here; the machine's timing is its own.
        count: Plans.
        at_once: Of them.
        kill_database: Kills the server of the database by -9 and starts it again; None leaves it alone.
        counts: What happened.
    """

    simulator: RunningSimulator
    database_url: str
    seed: int
    count: int
    at_once: int = 14
    kill_database: Callable[[], None] | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float) -> list[str]:
        """Carry out all plans; return what is wrong in the end, nothing when all is right."""
        engine = make_engine(self.database_url)
        self._open_market(engine)
        lives = [self._open(engine, number) for number in range(self.count)]
        unfinished = self._disturb(lives, seconds)
        self.simulator.control.clear_faults()
        engine.dispose()  # its connections may be of a server that was killed
        problems = [f"{name}: not finished in {seconds} s" for name in unfinished]
        books = self.simulator.control.request("GET", "/books")["accounts"]
        with engine.connect() as connection:
            for life in lives:
                problems += self._find_faults(connection, life, books[life.task.account])
        engine.dispose()
        return problems

    def _open_market(self, engine: Engine) -> None:
        self.simulator.control.scenario("flat")
        with engine.begin() as connection:
            for name, price in PRICES.items():
                self.simulator.control.set_price(f"{name}USDT", price)
                connection.execute(text(SYMBOL), {"name": f"{name}/USDT", "base": name, "step": STEPS[name]})

    def _open(self, engine: Engine, number: int) -> Life:
        """Open an account whose plan is approved: too much of one asset, nothing of the others."""
        choices = random.Random(f"{self.seed}:{number}")
        name, much = f"plan-{self.seed}-{number}", choices.choice(list(PRICES))
        held = {"USDT": Decimal(choices.randrange(5_000, 20_000))}
        held[much] = Decimal(choices.randrange(8_000, 16_000)) / PRICES[much].normalize()
        held[much] = held[much].quantize(Decimal(STEPS[much]))
        balances = {asset: str(amount) for asset, amount in held.items()}
        self.simulator.control.request("POST", "/accounts", api_key=name, api_secret=SECRET, balances=balances)
        with engine.begin() as connection:
            added = text("INSERT INTO accounts VALUES (:name, 'live', 'simulator', 'USDT', now())")
            connection.execute(added, {"name": name})
        plan_id = self._approve(engine, name, held)
        task = PlanTask(self.database_url, self.simulator.url, name, plan_id)
        return Life(task, choices, choices.randrange(MOST_DEATHS + 1), held)

    def _approve(self, engine: Engine, name: str, held: dict[str, Decimal]) -> int:
        now, plans = datetime.now(UTC), DatabasePlans(engine)
        assets = {
            asset: Asset(asset, amount := held.get(asset, Decimal(0)), amount, price, now, is_quoted=True)
            for asset, price in PRICES.items()
        }
        portfolio = Portfolio(name, "USDT", held["USDT"], Decimal(0), assets)
        plan = plan_rebalance(portfolio, DatabaseMarketFacts(engine).load_listings(SYMBOLS), TARGETS)
        with plans.open_plans(name) as book:
            stored = book.add(plan, code_version="chaos", reasons=("chaos",), now=now)
        assert plans.decide(stored, Approval(Decision.APPROVED, "Ada", now))
        return stored.plan_id

    def _disturb(self, lives: list[Life], seconds: float) -> list[str]:
        """Run the plans, a few at once, arm faults, and kill; return the accounts whose plan is not finished."""
        choices, waiting, running = random.Random(self.seed), list(lives), list[Life]()
        deadline = time.monotonic() + seconds
        while (waiting or running) and time.monotonic() < deadline:
            while waiting and len(running) < self.at_once:
                running.append(waiting.pop(0))
            running = [life for life in running if not self._has_ended(life)]
            if choices.random() < FAULTS_A_PLAN * len(running):
                arm_something(self.simulator, choices, self.counts)
            victim = choices.choice(running) if running and choices.random() < 0.05 else None
            if victim is not None and victim.worker is not None:
                victim.worker.kill()
            if self.kill_database is not None and choices.random() < 0.004:
                self.kill_database()
                self.counts["database killed"] += 1
            time.sleep(choices.uniform(0.02, 0.15))  # the pace of the chaos
        for life in running:
            if life.worker is not None:
                life.worker.kill()
                life.worker.join()
        return [life.task.account for life in (*waiting, *running)]

    def _has_ended(self, life: Life) -> bool:
        """Tell whether the plan has ended; a process that died is followed by another one."""
        if life.worker is None or not life.worker.is_alive():
            if life.worker is not None:
                life.worker.join()
                self.counts["died" if life.worker.exitcode == -9 else f"ended with {life.worker.exitcode}"] += 1
                if life.worker.exitcode == 0:
                    return True
            life.start()
        return False

    def _find_faults(self, connection: Connection, life: Life, book: dict[str, Any]) -> list[str]:
        name = life.task.account
        [plan] = connection.execute(text("SELECT * FROM rebalance_plans WHERE account = :name"), {"name": name})
        query = text("SELECT * FROM rebalance_legs WHERE plan_id = :plan_id ORDER BY number")
        legs = connection.execute(query, {"plan_id": plan.plan_id}).all()
        self.counts[f"plans {plan.state}"] += 1
        title = f"plan {plan.plan_id} ({plan.plan_hash[:8]})"
        wanted = {make_client_order_id(name, title, f"leg {leg.number}"): leg for leg in legs}
        there = Counter(order["client_order_id"] for order in book["orders"])
        problems = [f"{one}: {times} orders" for one, times in there.items() if times != 1 or one not in wanted]
        if plan.state not in ("done", "failed") or not plan.note:
            problems.append(f"it is {plan.state}: {plan.note!r}")
        problems += [
            f"leg {leg.number} is {leg.state}: {leg.reason!r}"
            for leg in legs
            if leg.state == "planned" or (leg.state == "failed" and not leg.reason)
        ]
        told = connection.scalar(
            text("SELECT count(*) FROM notifications WHERE deduplication_key = :key"),
            {"key": f"rebalance:end:{name}:{plan.plan_id}"},
        )
        problems += [] if told == 1 else [f"told {told} times"]
        return [f"{name}: {one}" for one in (*problems, *_compare_books(connection, life, book))]


def _compare_books(connection: Connection, life: Life, book: dict[str, Any]) -> list[str]:
    """Compare fills with the exchange's trades, and what they leave of each asset with its balances."""
    query = text("SELECT * FROM order_fills WHERE account = :name")
    fills = connection.execute(query, {"name": life.task.account}).all()
    ours = {(one.symbol.replace("/", ""), one.fill_id, one.price, one.quantity, one.fee) for one in fills}
    theirs = {
        (one["symbol"], one["trade_id"], *(Decimal(one[of]) for of in ("price", "quantity", "fee")))
        for one in book["trades"]
    }
    left = Counter(life.held)
    for fill in fills:
        base, _, quote = fill.symbol.partition("/")
        sign = 1 if fill.side == Side.BUY else -1
        left[base] += sign * fill.quantity
        left[quote] -= sign * fill.quantity * fill.price
        left[fill.fee_asset] -= fill.fee
    has = {asset: Decimal(one["free"]) + Decimal(one["locked"]) for asset, one in book["balances"].items()}
    wrong = [asset for asset in {*left, *has} if left.get(asset, 0) != has.get(asset, 0)]
    return [
        *(f"a fill that only one side knows: {one}" for one in ours ^ theirs),
        *(f"{asset}: {has.get(asset, 0)} there, {left.get(asset, 0)} by our fills" for asset in wrong),
    ]
