"""Chaos of whole plans: approved rebalance plans are carried out while everything fails and processes are killed by -9.

At the end the simulator's own books are compared with ours: every leg has one order there at most, our fills, cash and
fees are theirs to the last digit, and each plan is done, or failed with a stated reason, and was told once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.rebalancing import DatabasePlans
from lib.allocation.holdings import Asset, Portfolio
from lib.allocation.plan import plan_rebalance
from lib.allocation.stores import Approval, Decision
from lib.execution.orders import make_client_order_id
from tests.execution.books import Book, compare_balances, compare_fills, compare_orders
from tests.execution.lives import MOST_DEATHS, Fray, Life
from tests.execution.mishaps import Deed, OtherHand
from tests.execution.plan_worker import PLAN_POINTS, SYMBOLS, TARGETS, PlanTask, carry_out
from tests.execution.worker import SECRET

PRICES = {"BTC": Decimal(50_000), "ETH": Decimal(3_000), "SOL": Decimal(100)}
STEPS = {"BTC": "0.00001", "ETH": "0.0001", "SOL": "0.001"}
SYMBOL = (
    "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
    " min_notional, status_since, refreshed_at) VALUES (:name, :base, 'USDT', 'main', 'trading', 0.01,"
    " :step, :step, 5, now(), now())"
)


@dataclass
class PlanChaos:
    """One run of many plans, each of an account of its own.

    Attributes:
        fray: Where they are carried out; its simulator's books are the truth.
        database_url: Migrated.
        count: Plans.
        folder: For what processes leave to their heirs.
    """

    fray: Fray
    database_url: str
    count: int
    folder: Path

    def run(self, seconds: float) -> list[str]:
        """Carry out all plans; return what is wrong in the end, nothing when all is right."""
        engine = make_engine(self.database_url)
        self._open_market(engine)
        lives = [self._open(engine, number) for number in range(self.count)]
        engine.dispose()  # its connections would be of a server that is killed
        problems = self.fray.live(lives, seconds)
        books = self.fray.simulator.control.request("GET", "/books")["accounts"]
        with engine.connect() as connection:
            for life in lives:
                problems += self._find_faults(connection, life.task.account, books[life.task.account])
        engine.dispose()
        return problems

    def _open_market(self, engine: Engine) -> None:
        self.fray.simulator.control.scenario("flat")
        with engine.begin() as connection:
            for name, price in PRICES.items():
                self.fray.simulator.control.set_price(f"{name}USDT", price)
                connection.execute(text(SYMBOL), {"name": f"{name}/USDT", "base": name, "step": STEPS[name]})

    def _open(self, engine: Engine, number: int) -> Life:
        """Open an account whose plan is approved: too much of one asset, nothing of the others."""
        choices = random.Random(f"{self.fray.seed}:{number}")
        name, much = f"plan-{self.fray.seed}-{number}", choices.choice(list(PRICES))
        held = {"USDT": Decimal(choices.randrange(5_000, 20_000))}
        held[much] = Decimal(choices.randrange(8_000, 16_000)) / PRICES[much].normalize()
        held[much] = held[much].quantize(Decimal(STEPS[much]))
        balances = {asset: str(amount) for asset, amount in held.items()}
        self.fray.simulator.control.request("POST", "/accounts", api_key=name, api_secret=SECRET, balances=balances)
        with engine.begin() as connection:
            added = text("INSERT INTO accounts VALUES (:name, 'live', 'simulator', 'USDT', now())")
            connection.execute(added, {"name": name})
        plan_id = self._approve(engine, name, held)
        deed = choices.choice([None, None, None, *Deed])
        mark = self.folder / f"{name}.{choices.randrange(2)}"
        hand = OtherHand(deed, self.fray.simulator.url, name, mark) if deed else None
        task = PlanTask(self.database_url, self.fray.simulator.url, name, plan_id, hand)
        return Life(task, carry_out, PLAN_POINTS, choices, choices.randrange(MOST_DEATHS))

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

    def _find_faults(self, connection: Connection, name: str, book: Book) -> list[str]:
        [plan] = connection.execute(text("SELECT * FROM rebalance_plans WHERE account = :name"), {"name": name})
        query = text("SELECT * FROM rebalance_legs WHERE plan_id = :plan_id ORDER BY number")
        legs = connection.execute(query, {"plan_id": plan.plan_id}).all()
        self.fray.counts[f"plans {plan.state}"] += 1
        title = f"plan {plan.plan_id} ({plan.plan_hash[:8]})"
        wanted = {make_client_order_id(name, title, f"leg {leg.number}"): leg for leg in legs}
        stored = connection.scalars(
            text("SELECT client_order_id FROM order_intents WHERE account = :name"), {"name": name}
        )
        problems = [f"{one}: no leg of the plan" for one in stored if one not in wanted]
        problems += compare_orders(connection, name, book)
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
        problems += compare_fills(connection, name, book)
        return [f"{name}: {one}" for one in (*problems, *compare_balances(connection, name, book))]
