"""The soak: simulated days of all chains with faults, restarts and people; then the books are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import psutil

from lib.portfolio.alarms import JITTER
from lib.reporting.runs import RunHistory
from lib.results import TaskResult
from tests.soak.audit import audit
from tests.soak.chains import CHAINS, STOPS, SYNC, Run
from tests.soak.driver import Driver
from tests.soak.log import Log
from tests.soak.orders import Orders
from tests.soak.people import People
from tests.soak.stage import Stage, open_stage
from tests.soak.weather import Weather

A_DAY = timedelta(days=1)
CALM = timedelta(hours=3)  # at the end, for what waits: gaps are proven absent after one
DIES = 1 / 60  # of the chains
Show = Callable[[datetime, Log], None]


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        start: First instant, UTC.
        days: Simulated ones.
        step: Between two rounds; a chain runs once a round at most.
        seed: Of every choice, and of the market.
    """

    start: datetime
    days: float
    step: timedelta
    seed: int


@dataclass
class Soak:
    """One soak under way."""

    stage: Stage
    plan: Plan
    log: Log
    driver: Driver
    orders: Orders
    people: People
    weather: Weather

    async def run(self, show: Show) -> None:
        """Live through all days, then through calm hours, and compare everything."""
        await self.stage.restart()
        try:
            await self._live(show)
            self.weather.clear_up()
            self.driver.halt = None
            await self.people.enable_strategies()
            await self._rest(show)
            await self._check_health()
            await audit(self.stage, self.log, self.plan.start, self.plan.days)
        finally:
            await self.stage.close()

    async def _live(self, show: Show) -> None:
        end = self.plan.start + timedelta(days=self.plan.days)
        since = at = self.plan.start
        day = at.date()
        await self.driver.run_chain(CHAINS[0])  # the first history
        await self.people.begin()
        while at < end:
            self.stage.clock.jump(at)
            self.weather.change()
            await self._do_round(at, since, may_die=True)
            await self.people.act()
            await self.orders.go_on_with_plans()
            if at.date() != day:
                day = at.date()
                self.log.memory.append(psutil.Process().memory_info().rss / 2**20)
            show(at, self.log)
            since, at = at, at + self.plan.step

    async def _rest(self, show: Show) -> None:
        """Go on in fair weather, so that whatever waits has its turn."""
        since = self.stage.clock.exchange_now()
        step = min(self.plan.step, timedelta(hours=1))
        at, end = since + step, since + CALM
        while at < end:
            self.stage.clock.jump(at)
            await self._do_round(at, since, may_die=False)
            await self.orders.go_on_with_plans()
            show(at, self.log)
            since, at = at, max(at, self.stage.clock.exchange_now()) + step

    async def _check_health(self) -> None:
        """The platform itself finds nothing out of bounds after calm hours."""
        health = next(chain for chain in CHAINS if chain.flow == "platform_health")
        run = Run(self.stage.platform, "health at the end", None, RunHistory())
        result = await health.steps[0][1](run)
        for item in result.failed:
            self.log.breach(f"the platform's own health: {item.name}: {item.detail}")

    async def _do_round(self, at: datetime, since: datetime, *, may_die: bool) -> None:
        for chain in CHAINS:
            if chain.is_due(at, since):
                dies = may_die and self.driver.choices.random() < DIES
                await self.driver.run_chain(chain, dies=dies)
                if chain.flow == "signal_generation":
                    await self.orders.follow_signals()
                if chain.flow == "portfolio_optimization":
                    await self.orders.decide_on_plans()

    def watch(self) -> None:
        """Have the steps followed by what the flows do besides, and by what must be true then."""
        self.driver.after = {
            STOPS[0]: self._follow_stops,
            SYNC[0]: self._check_clock,
            "generate_report": self._expect_report,
        }

    async def _follow_stops(self, ended: TaskResult | Exception) -> None:
        if isinstance(ended, TaskResult):
            self._note_crossings()
        await self.orders.start_exits()
        await self.orders.start_protection()

    def _note_crossings(self) -> None:
        """Find positions at or below their stop loss by the exchange's own price: people must have been told."""
        clock = self.stage.clock
        realert = timedelta(minutes=self.stage.settings.stop_realert_minutes)
        for row in self.stage.query(
            "SELECT account, symbol, opened_by, stop_loss, price FROM positions WHERE closed_at IS NULL "
            "AND price_at = :now AND price <= stop_loss",
            now=clock.now(),
        ):
            self.log.events["stop losses crossed"] += 1
            key = f"stop_loss:{row.account}:{row.symbol}:{row.opened_by}:"
            self.log.expect("a stop loss is crossed", key, clock.now(), before=realert + JITTER)

    async def _check_clock(self, ended: TaskResult | Exception) -> None:
        if isinstance(ended, TaskResult) and self.stage.clock.skew:
            now = self.stage.clock.now()
            self.log.expect("the clock is ahead", f"operations:clock:simulator:{now:%Y-%m-%d}", now, before=A_DAY)

    async def _expect_report(self, ended: TaskResult | Exception) -> None:
        if isinstance(ended, TaskResult):
            self.log.expect("a report", "report:", self.stage.clock.now(), before=timedelta(minutes=10))


async def run_soak(plan: Plan, database_url: str, home: Path, show: Show) -> Log:
    """Run a soak and return what it saw."""
    log = Log()
    with open_stage(database_url, home, start=plan.start, seed=plan.seed) as stage:
        choices = Random(plan.seed)
        driver = Driver(stage, log, Random(choices.random()))
        orders = Orders(driver)
        people = People(driver, orders, Random(choices.random()), plan.step)
        weather = Weather(stage, log, Random(choices.random()), plan.step)
        soak = Soak(stage, plan, log, driver, orders, people, weather)
        soak.watch()
        await soak.run(show)
    return log
