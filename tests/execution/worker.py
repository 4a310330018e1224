"""A process that places the orders it is given, beside others that do the same, and dies where it is told."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import text

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.database.orders import DatabaseOrderDesk, DatabaseOrders
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account
from lib.adapters.exchange.orders import BinanceOrders
from lib.errors import RetryableError
from lib.execution.orders import Order, OrderIntent, OrderKind, OrderReport, OrderState
from lib.execution.placing import Placing, PlacingRules, open_placing
from lib.portfolio.fills import Fill, Side
from lib.ports import SystemClock

POINTS = ("before_intent", "after_intent", "after_attempt", "after_reply", "before_fills", "before_outcome")
AFTER_POST = "after_post"  # no exact point: the request has left, and is mostly not answered
UNDER_WAY_SECONDS = 0.004
WINDOW = timedelta(seconds=1)
RULES = PlacingRules(
    grace=timedelta(seconds=1.5), patience=timedelta(seconds=6), poll_seconds=0.05, max_attempts=10_000
)
SECRET = "secret"
PRICES = {"BTC/USDT": Decimal(50_000), "ETH/USDT": Decimal(3_000)}
AT_ONCE = 4  # orders of one account before another process may take it over


@dataclass(frozen=True)
class Task:
    """What a worker is to do.

    Attributes:
        database_url: Migrated, with the accounts.
        simulator_url: With accounts whose keys are their names.
        accounts: To serve.
        intents: All that shall be placed, of all accounts.
        seed: Of its choices.
        die_at: One of `POINTS`; None to live.
        die_after: How often that point is passed alive.
    """

    database_url: str
    simulator_url: str
    accounts: tuple[str, ...]
    intents: tuple[OrderIntent, ...]
    seed: int = 0
    die_at: str | None = None
    die_after: int = 0


class Fate:
    """Ends the process, as kill -9 does, at the n-th time it reaches its point."""

    def __init__(self, point: str | None, passes: int) -> None:
        self._point = point
        self._passes = passes
        self._seen: Counter[str] = Counter()

    def reach(self, point: str) -> None:
        self._seen[point] += 1
        if point == self._point and self._seen[point] > self._passes:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalDesk(DatabaseOrderDesk):
    """A desk that meets its fate before and after what it commits."""

    fate: Fate

    def add_all(self, intents: Sequence[OrderIntent]) -> list[Order]:
        self.fate.reach("before_intent")
        orders = super().add_all(intents)
        self.fate.reach("after_intent")
        return orders

    def save_all(self, before: Sequence[Order], after: Sequence[Order]) -> Sequence[Order]:
        if any(len(later.fills) > len(one.fills) for one, later in zip(before, after, strict=True)):
            self.fate.reach("before_fills")
        if before[0].state is OrderState.ATTEMPTED:
            self.fate.reach("before_outcome")
        saved = super().save_all(before, after)
        if after[0].state is OrderState.ATTEMPTED:
            self.fate.reach("after_attempt")
        return saved


class MortalOrders(BinanceOrders):
    """A venue that meets its fate while a request is under way, and when a reply has come."""

    fate: Fate

    async def submit(self, intent: OrderIntent, attempted_at: datetime) -> OrderReport:
        sending = asyncio.ensure_future(super().submit(intent, attempted_at))
        await asyncio.wait([sending], timeout=UNDER_WAY_SECONDS)
        self.fate.reach(AFTER_POST)
        report = await sending
        self.fate.reach("after_reply")
        return report

    async def submit_list(self, intents: Sequence[OrderIntent], attempted_at: datetime) -> Sequence[OrderReport]:
        reports = await super().submit_list(intents, attempted_at)
        self.fate.reach("after_reply")
        return reports

    async def fetch_order_fills(self, report: OrderReport) -> list[Fill]:
        return list(await super().fetch_order_fills(report))


class MortalStore(DatabaseOrders):
    """Hands out mortal desks."""

    fate: Fate

    @contextmanager
    def open_desk(self, account: str) -> Iterator[DatabaseOrderDesk]:
        with super().open_desk(account) as desk:
            mortal = MortalDesk(desk._connection, account)
            mortal.fate = self.fate
            yield mortal

    def load_names(self, account: str) -> set[str]:
        """Return the client order ids that are stored."""
        with self._reading(account) as connection:
            query = text("SELECT client_order_id FROM order_intents WHERE account = :account")
            return set(connection.scalars(query, {"account": account}))


def run(task: Task) -> None:
    """Place everything; return when all of it is in a final state."""
    asyncio.run(_work(task))


async def _work(task: Task) -> None:
    engine = make_engine(task.database_url)
    store, budget, fate = MortalStore(engine), BudgetStore(engine), Fate(task.die_at, task.die_after)
    store.fate = fate
    venue = Venue("simulator", task.simulator_url, timeout_seconds=0.5, weight_per_minute=1_000_000, max_wait_seconds=3)
    accounts = {
        name: make_account(venue, name, name, SECRET, ledger=budget, clock=SystemClock()) for name in task.accounts
    }
    choices, waiting = random.Random(task.seed), set(task.accounts)
    while waiting:
        name = choices.choice(sorted(waiting))
        orders = MortalOrders(accounts[name].link, name, window=WINDOW)
        orders.fate = fate
        try:
            async with open_placing(
                name, store=store, venue=orders, check=_allow, clock=SystemClock(), rules=RULES
            ) as placing:
                if await _serve(placing, store, [intent for intent in task.intents if intent.account == name]):
                    waiting.discard(name)
        except RetryableError:  # another process has the account, or the database is away
            await asyncio.sleep(0.05)
    for account in accounts.values():
        await account.close()
    engine.dispose()


async def _serve(placing: Placing, store: MortalStore, intents: list[OrderIntent]) -> bool:
    """Finish what others left, then place some more; tell whether the account is done."""
    await placing.resume(may_send=True)
    there = store.load_names(intents[0].account)
    for intent in [intent for intent in intents if intent.client_order_id not in there][:AT_ONCE]:
        await placing.place(intent)
    return len(there) == len(intents) and not store.load_unfinished(intents[0].account)


async def _allow(_: OrderIntent) -> None:
    return None


def choose_intents(seed: int, accounts: tuple[str, ...], count: int, now: datetime) -> list[OrderIntent]:
    """Return orders that all can be filled: of BTC at market, of ETH with a limit well beyond it."""
    choices = random.Random(seed)
    intents = []
    for number in range(count):
        side = choices.choice([Side.BUY, Side.SELL])
        is_limit = choices.random() < 0.4
        symbol = "ETH/USDT" if is_limit else "BTC/USDT"
        bound = PRICES[symbol] * (Decimal("1.05") if side is Side.BUY else Decimal("0.95"))
        intents.append(
            OrderIntent(
                client_order_id=f"fks-{seed}-{number}",
                account=accounts[number % len(accounts)],
                symbol=symbol,
                side=side,
                kind=OrderKind.LIMIT if is_limit else OrderKind.MARKET,
                quantity=Decimal(choices.randrange(20, 200)) / (1_000 if is_limit else 100_000),
                reference_price=PRICES[symbol],
                created_at=now,
                why="chaos",
                limit_price=bound if is_limit else None,
            )
        )
    return intents
