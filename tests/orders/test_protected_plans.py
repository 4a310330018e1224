"""Plans that sell what protective orders hold: what a check refuses stays protected, what they sold ends a leg."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from lib.allocation.legs import Leg
from lib.allocation.stores import LegState, PlanState, StoredPlan
from lib.errors import AllItemsFailed, ExchangeUnavailable
from lib.tasks import allocation, rebalancing
from tests.orders.conftest import LIVE
from tests.orders.test_protecting import SYMBOL, ProtectedDesk, protected_desk

__all__ = ["protected_desk"]  # the fixture


@dataclass
class PlanDesk:
    """An approved plan that sells most of the protected SOL."""

    desk: ProtectedDesk
    plan: StoredPlan
    starter: rebalancing.Starter

    @property
    def leg(self) -> Leg:
        return next(one.leg for one in self.plan.legs if one.leg.symbol == SYMBOL)

    def begin(self) -> None:
        """Leave it as a run that was killed before its first order does."""
        platform = self.desk.desk.platform
        now = platform.clock.now()
        assert platform.trading.plans.advance(self.plan.plan_id, PlanState.RUNNING, note="trading", now=now)

    async def run(self) -> None:
        platform = self.desk.desk.platform
        await rebalancing.rebalance_portfolio(platform, LIVE, self.plan.plan_id, self.starter)

    async def leave_unsent(self) -> None:
        """Let a run end after it has cancelled the protection and stored its first order, before that is sent."""
        asked = 0

        async def away() -> str | None:
            nonlocal asked
            asked += 1
            if asked > 2:  # the checks of the leg before its protection is cancelled
                raise ExchangeUnavailable("It does not answer.")
            return None

        self.begin()
        platform = self.desk.desk.platform
        with pytest.raises(ExchangeUnavailable):
            starter = replace(self.starter, halted=away)
            await rebalancing.rebalance_portfolio(platform, LIVE, self.plan.plan_id, starter)
        assert self.desk.open() == []

    def outcome(self) -> tuple[LegState, str]:
        """What became of the leg that sells SOL."""
        stored = self.desk.desk.platform.trading.plans.load_plan(LIVE, self.plan.plan_id)
        return next((one.state, one.reason) for one in stored.legs if one.leg.symbol == SYMBOL)


@pytest.fixture
async def plan_desk(protected_desk: ProtectedDesk) -> AsyncIterator[PlanDesk]:
    desk = protected_desk.desk
    weights = {"target_weights": {"SOL": Decimal("0.1"), "LINK": Decimal(1)}}
    desk.platform = replace(desk.platform, settings=desk.platform.settings.model_copy(update=weights))
    await protected_desk.protect()
    await allocation.optimize_portfolio(desk.platform, LIVE)

    async def nobody_waits(_: str) -> bool:
        return False

    starter = rebalancing.Starter("run-1", desk.halted, nobody_waits)
    plan = (await rebalancing.review_plan(desk.platform, LIVE, None, starter)).plan
    yield PlanDesk(protected_desk, plan, starter)


async def test_a_leg_that_a_check_refuses_leaves_the_position_protected(plan_desk: PlanDesk) -> None:
    before = plan_desk.desk.open()
    plan_desk.begin()
    plan_desk.desk.jump("1.1")
    await plan_desk.run()
    state, reason = plan_desk.outcome()
    assert state is LegState.FAILED and "% away" in reason
    assert plan_desk.desk.open() == before and len(before) == 2


async def test_a_stored_order_of_a_leg_that_is_refused_is_withdrawn(plan_desk: PlanDesk) -> None:
    desk = plan_desk.desk
    await plan_desk.leave_unsent()
    await desk.protect()  # by the chain, between two lives of the plan's run
    before, desk.desk.halt = desk.open(), "prices look wrong"
    with pytest.raises(AllItemsFailed):
        await plan_desk.run()
    state, reason = plan_desk.outcome()
    assert state is LegState.FAILED and "halted: prices look wrong" in reason
    unfinished = desk.desk.platform.trading.orders.load_unfinished(LIVE)
    assert [order.intent.may_rest for order in unfinished] == [True, True]  # what protects
    assert desk.open() == before and len(before) == 2


async def test_a_plan_that_goes_on_sells_nothing_of_what_its_protection_has_sold_meanwhile(plan_desk: PlanDesk) -> None:
    """More is on the account than in the position, so the balance alone would allow the sale."""
    desk = plan_desk.desk
    desk.desk.world.simulator.control.request("POST", "/deposit", asset="SOL", amount="1000")
    plan_desk.begin()
    desk.jump("0.895")
    await desk.desk.update()  # by the chain, which settles it
    desk.jump("1")
    await plan_desk.run()
    sales = desk.desk.world.query("SELECT kind FROM order_intents WHERE symbol = :symbol", symbol=SYMBOL)
    assert sorted(sales) == [("limit_maker",), ("stop_loss_limit",)]
    state, reason = plan_desk.outcome()
    assert state is LegState.FAILED and "has sold of it meanwhile" in reason
