"""A process that carries out one approved rebalance plan, and dies where it is told."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.rebalancing import DatabasePlans
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.allocation.plan import RebalanceRules
from lib.allocation.stores import LegState, PlanState
from lib.allocation.targets import TargetRules
from lib.errors import AllItemsFailed, BadAnswer, RetryableError
from lib.execution.checks import OrderLimits
from lib.execution.gate import Gate
from lib.execution.placing import open_placing
from lib.execution.rebalancing import RebalanceOptions, run_rebalance_plan
from lib.notifications.messages import Message
from lib.ports import BookSource, SystemClock
from tests.execution.mishaps import DisturbedOrders, OtherHand
from tests.execution.worker import AFTER_POST, POINTS, RULES, SECRET, WINDOW, Fate, MortalStore

PLAN_POINTS = (
    *POINTS,
    AFTER_POST,
    "before_running",
    "after_running",
    "before_settling",
    "after_settling",
    "before_end",
    "after_end",
)
TARGETS = RebalanceRules(TargetRules(("BTC", "ETH"), ("SOL",)))
SYMBOLS = frozenset({"BTC/USDT", "ETH/USDT", "SOL/USDT"})


@dataclass(frozen=True)
class PlanTask:
    """What a worker is to do.

    Attributes:
        database_url: Migrated, with the account, the symbols and the plan.
        simulator_url: With an account whose key is its name.
        account: Whose plan.
        plan_id: Which.
        other_hand: Uses the account beside it.
        die_at: One of `PLAN_POINTS`; None to live.
        die_after: How often that point is passed alive.
    """

    database_url: str
    simulator_url: str
    account: str
    plan_id: int
    other_hand: OtherHand | None = None
    die_at: str | None = None
    die_after: int = 0


class MortalPlans(DatabasePlans):
    """Plans that meet their fate before and after what is committed."""

    def __init__(self, engine: Engine, fate: Fate) -> None:
        super().__init__(engine)
        self._fate = fate

    def advance(
        self, plan_id: int, state: PlanState, *, note: str, now: datetime, message: Message | None = None
    ) -> bool:
        step = "running" if state is PlanState.RUNNING else "end"
        self._fate.reach(f"before_{step}")
        moved = super().advance(plan_id, state, note=note, now=now, message=message)
        self._fate.reach(f"after_{step}")
        return moved

    def settle_leg(self, plan_id: int, number: int, state: LegState, *, reason: str = "") -> bool:
        self._fate.reach("before_settling")
        settled = super().settle_leg(plan_id, number, state, reason=reason)
        self._fate.reach("after_settling")
        return settled


def carry_out(task: PlanTask) -> None:
    """Carry out the plan; return when it has ended."""
    asyncio.run(_work(task))


async def _work(task: PlanTask) -> None:
    engine, fate = make_engine(task.database_url), Fate(task.die_at, task.die_after)
    ledger, clock = BudgetStore(engine), SystemClock()
    venue = Venue("simulator", task.simulator_url, timeout_seconds=0.5, weight_per_minute=1_000_000, max_wait_seconds=3)
    async with AsyncExitStack() as stack:
        stack.callback(engine.dispose)
        account = make_account(venue, task.account, task.account, SECRET, ledger=ledger, clock=clock)
        stack.push_async_callback(account.close)
        exchange = make_exchange(venue, ledger=ledger, clock=clock)
        stack.push_async_callback(exchange.close)
        worker = _Worker(task, engine, account, exchange, fate)
        has_ended = await worker.try_once()
        while not has_ended:  # another process has the account, the database is away, or an answer was lost
            await asyncio.sleep(0.05)
            has_ended = await worker.try_once()


@dataclass(frozen=True)
class _Worker:
    task: PlanTask
    engine: Engine
    account: BinanceAccount
    exchange: BookSource
    fate: Fate

    async def try_once(self) -> bool:
        """Go on with the plan; tell whether it has ended."""
        store = MortalStore(self.engine)
        store.fate = self.fate
        orders = DisturbedOrders(self.account.link, self.task.account, window=WINDOW)
        orders.fate, orders.other_hand = self.fate, self.task.other_hand
        plans, market, clock = MortalPlans(self.engine, self.fate), DatabaseMarketFacts(self.engine), SystemClock()
        limits = OrderLimits(max_price_age=timedelta(seconds=30))
        gate = Gate(self.account, orders, self.exchange, market, store, SYMBOLS, _not_halted, limits, clock)
        try:
            async with open_placing(
                self.task.account, store=store, venue=orders, check=gate.check, clock=clock, rules=RULES
            ) as placing:
                await run_rebalance_plan(
                    account=self.account,
                    plan=plans.load_plan(self.task.account, self.task.plan_id),
                    plans=plans,
                    placing=placing,
                    orders=store,
                    market=market,
                    prices=self.exchange,  # type: ignore[arg-type]  # the simulator's exchange is both
                    clock=clock,
                    options=RebalanceOptions(TARGETS, Decimal(1)),
                )
        except AllItemsFailed:
            return True
        except (RetryableError, BadAnswer):
            return False
        return True


async def _not_halted() -> str | None:
    return None
