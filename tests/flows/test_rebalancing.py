"""A rebalance plan from its proposal to its end, as a person starts it, with the approval form between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import PrefectHTTPStatusError

from flows.market import critical_path
from flows.on_demand import rebalance_portfolio
from tests.platforms import World
from tests.runs import execute, id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
YES = {"approved_by": "Ada", "decision": "approved", "note": "as discussed"}


class Desk:
    """What a person does: proposes, starts runs, fills in forms."""

    def __init__(self, world: World, deployment: UUID) -> None:
        self.world = world
        self.deployment = deployment

    async def propose(self) -> int:
        state = await rebalance_portfolio("demo", return_state=True)
        assert state.name == "Completed", state.message
        [[plan]] = self.world.query("SELECT plan_id FROM rebalance_plans WHERE state = 'proposed'")
        return int(plan)

    async def start(self, **parameters: Any) -> tuple[FlowRun, State[Any]]:
        given = {"account": "demo", "execute": True} | parameters
        async with get_client() as client:
            run = await client.create_flow_run_from_deployment(self.deployment, parameters=given)
            return run, await execute(rebalance_portfolio, run)

    async def answer(self, run: FlowRun, **form: Any) -> State[Any]:
        async with get_client() as client:
            reply = await client.resume_flow_run(run.id, run_input=form)
            assert reply.status == "ACCEPT", reply.details
            return await execute(rebalance_portfolio, await client.read_flow_run(run.id))

    def plan(self, plan_id: int) -> Any:
        [row] = self.world.query("SELECT * FROM rebalance_plans WHERE plan_id = :plan_id", plan_id=plan_id)
        return row

    def orders(self) -> list[Any]:
        query = "SELECT * FROM order_intents JOIN orders USING (account, client_order_id) ORDER BY created_at"
        return self.world.query(query)

    def told(self, words: str) -> list[str]:
        return [text for text in self.world.webhooks.contents if words in text]


@pytest.fixture
async def desk(prefect_world: World) -> AsyncIterator[Desk]:
    prefect_world.simulator.control.scenario("flat")
    await critical_path(return_state=True)
    async with get_client() as client:
        flow_id = await client.create_flow(rebalance_portfolio)
        deployment = await client.create_deployment(flow_id, f"test-{uuid4().hex}")
        yield Desk(prefect_world, deployment)
        await client.delete_deployment(deployment)


async def test_a_plan_that_was_approved_by_the_form_is_carried_out_and_told(desk: Desk) -> None:
    plan_id = await desk.propose()
    run, waiting = await desk.start()
    assert (waiting.name, desk.orders()) == ("Suspended", [])
    assert "waits for a decision" in (await read_run(run.id)).name
    [asked] = desk.told("Approval wanted")
    assert f"/runs/flow-run/{run.id}" in asked
    assert desk.world.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]

    async with get_client() as client:
        for wrong in (
            {},
            YES | {"decision": "perhaps"},
            YES | {"max_slippage_pct": -1},
            YES | {"max_slippage_pct": 21},
            YES | {"excluded": ["DOGE/USDT"]},
            YES | {"approved_by": ""},
        ):
            refused = await client.resume_flow_run(run.id, run_input=wrong)
            assert refused.status == "REJECT", wrong
    state = await desk.answer(run, **YES, excluded=["LINK/USDT"], max_slippage_pct=0.5)

    assert state.name == "Completed", state.message
    assert desk.plan(plan_id).state == "done"
    orders = desk.orders()
    assert orders and {order.state for order in orders} == {"filled"}
    assert "LINK/USDT" not in {order.symbol for order in orders}
    assert all(order.approval.startswith("Ada, ") and order.code_version for order in orders)
    assert all(f"plan {plan_id} ({desk.plan(plan_id).plan_hash[:8]})" == order.plan for order in orders)
    assert all(abs(order.limit_price / order.reference_price - 1) <= Decimal("0.005") for order in orders)
    text = (await read_artifacts(run.id))["rebalance-portfolio"]
    for words in ("approved by **Ada**", "as discussed", desk.plan(plan_id).plan_hash, orders[0].client_order_id):
        assert words in text
    [told] = desk.told("💼 Rebalanced: ")
    assert "approved by Ada" in told and "Fees: " in told and "cash " in told
    assert await read_run(run.id)
    fills = desk.world.query("SELECT count(*) FROM order_fills JOIN fills USING (account, symbol, fill_id)")
    assert fills == desk.world.query("SELECT count(*) FROM order_fills")
    assert desk.world.query("SELECT * FROM breaks WHERE state = 'open'") == []
