"""A rebalance plan from its proposal to its end, as a person starts it, with the approval form between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Failed

from flows.market import critical_path
from flows.on_demand import rebalance_portfolio
from tests.flow_processes import flow_process
from tests.platforms import World, flow_environment
from tests.prefect_servers import PrefectServer, wait_until
from tests.runs import execute, read_artifacts, read_run
from tests.simulators import API_KEY, API_SECRET

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
CARRY_OUT = """
import asyncio, json, os, sys
from flows.on_demand import rebalance_portfolio
print("ready", flush=True)
for line in sys.stdin:
    os.environ.update(json.loads(line))
    state = asyncio.run(rebalance_portfolio("demo", execute=True, return_state=True))
    print(state.state_details.flow_run_id, flush=True)
"""
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

    def is_under_way(self) -> bool:
        """Whether a second order has been sent and not been answered."""
        return len(self.world.query("SELECT 1 FROM order_attempts WHERE outcome = 'pending'")) == 1 and bool(
            self.world.query("SELECT 1 FROM orders WHERE state = 'filled'")
        )

    def check_books(self) -> None:
        """Each order once on the exchange, and its fills are ours to the last digit."""
        books = self.world.simulator.control.request("GET", "/books")["accounts"][API_KEY]
        ours = [order.client_order_id for order in self.orders()]
        theirs = [one["client_order_id"] for one in books["orders"] if one["client_order_id"].startswith("fks-")]
        assert sorted(ours) == sorted(theirs)
        fills = self.world.query("SELECT symbol, fill_id, quantity, fee FROM order_fills")
        trades = {(one["symbol"], one["trade_id"]): one for one in books["trades"]}
        for fill in fills:
            trade = trades[fill.symbol.replace("/", ""), fill.fill_id]
            assert (Decimal(trade["quantity"]), Decimal(trade["fee"])) == (fill.quantity, fill.fee)

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
    ours = "(SELECT oid FROM pg_database WHERE datname = current_database())"  # other tests lock theirs
    assert desk.world.query(f"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = {ours}") == []

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
    fills = desk.world.query("SELECT count(*) FROM order_fills JOIN fills USING (account, symbol, fill_id)")
    assert fills == desk.world.query("SELECT count(*) FROM order_fills")
    assert desk.world.query("SELECT * FROM breaks WHERE state = 'open'") == []


async def test_rejected_by_the_form_nothing_is_traded_and_people_are_told_why(desk: Desk) -> None:
    plan_id = await desk.propose()
    run, _ = await desk.start(plan=plan_id)
    _, second = await desk.start()
    assert second.type == "FAILED" and "waits for a decision already" in str(second.message)

    state = await desk.answer(run, **YES | {"decision": "rejected", "note": "not before the fork"})

    assert state.name == "Completed", state.message
    assert (desk.plan(plan_id).state, desk.orders()) == ("rejected", [])
    [told] = desk.told("Rebalancing rejected by Ada")
    assert "not before the fork" in told
    _, again = await desk.start(plan=plan_id)
    assert again.type == "FAILED" and "execute off for a new one" in str(again.message)


async def test_without_an_answer_the_server_ends_the_run_and_the_next_look_rejects_the_plan(desk: Desk) -> None:
    plan_id = await desk.propose()
    run, waiting = await desk.start()
    [(answer_by,)] = desk.world.query("SELECT answer_by FROM rebalance_runs")
    timeout = waiting.state_details.pause_timeout
    assert timeout is not None and abs(timeout - answer_by) < timedelta(seconds=10)
    desk.world.query("UPDATE rebalance_runs SET answer_by = now() - interval '6 minutes'")

    async with get_client() as client:  # as the server's service does, at that time
        never: State[Any] = Failed(message="The flow was paused and never resumed.")
        await client.set_flow_run_state(run.id, never, force=True)
        late = await client.resume_flow_run(run.id, run_input=YES)
        assert late.status == "ABORT"
    _, state = await desk.start()  # so does the half-hourly chain
    assert "demo has no plan to run" in str(state.message)
    assert desk.plan(plan_id).state == "rejected"
    assert len(desk.told("Rebalancing not answered")) == 1


async def test_approved_after_prices_moved_nothing_is_sent(desk: Desk) -> None:
    plan_id = await desk.propose()
    run, _ = await desk.start()
    price = desk.world.simulator.get("/ticker/price", symbol="BTCUSDT")["price"]
    desk.world.simulator.control.set_price("BTCUSDT", str(round(Decimal(price) * Decimal("0.96"), 2)))

    state = await desk.answer(run, **YES)

    assert state.type == "FAILED" and "BTC/USDT moved from" in str(state.message)
    assert (desk.plan(plan_id).state, desk.orders()) == ("expired", [])
    assert len(desk.told("Rebalancing refused")) == 1


async def test_what_cannot_be_meant_is_refused_by_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_id = await desk.propose()
    for parameters, words in (
        ({"account": "dmeo"}, "Unknown account 'dmeo'"),
        ({"plan": 4711}, "There is no plan 4711"),
        ({"execute": False, "plan": plan_id}, "was given with execute off"),
    ):
        _, state = await desk.start(**parameters)
        assert state.type == "FAILED" and words in str(state.message), state.message
    desk.world.simulator.control.request("PATCH", "/accounts", enable_withdrawals=True)
    _, state = await desk.start()
    assert "may move money out" in str(state.message)
    desk.world.simulator.control.request("PATCH", "/accounts", enable_withdrawals=False)
    for name, value in (("KIND", "live"), ("API_KEY", "simulator-key"), ("API_SECRET", "wrong")):
        monkeypatch.setenv(f"FKS_ACCOUNTS__DEMO__{name}", value)
    _, state = await desk.start()
    assert state.type == "FAILED" and "refused the key" in str(state.message), state.message
    assert (desk.plan(plan_id).state, desk.orders()) == ("proposed", [])


@pytest.fixture
def unattended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo account beside a paper one, both without a person's approval."""
    given = {"KIND": "live", "API_KEY": API_KEY, "API_SECRET": API_SECRET, "APPROVAL_REQUIRED": "false"}
    for name, value in given.items():
        monkeypatch.setenv(f"FKS_ACCOUNTS__DEMO__{name}", value)
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__KIND", "paper")


@pytest.mark.usefixtures("unattended")
async def test_of_two_runs_at_once_one_works_and_the_other_says_so(desk: Desk) -> None:
    plan_id = await desk.propose()
    desk.world.simulator.control.arm("delay", "/api/v3/order", "POST", seconds=1, count=0)
    ended = await asyncio.gather(desk.start(), desk.start())
    states = [state for _, state in ended]
    assert sorted(state.type.value for state in states) == ["COMPLETED", "FAILED"], [one.message for one in states]
    [refused] = [state for state in states if state.type == "FAILED"]
    assert "this run traded nothing" in str(refused.message).lower()
    assert desk.plan(plan_id).state == "done"
    desk.check_books()


@pytest.mark.usefixtures("unattended")
async def test_killed_in_the_middle_of_a_plan_a_run_started_again_finishes_it(
    desk: Desk, prefect_server: PrefectServer
) -> None:
    plan_id = await desk.propose()
    desk.world.simulator.control.arm("delay", "/api/v3/order", "POST", seconds=4, count=0, skip=1)
    with flow_process(flow_environment(prefect_server), CARRY_OUT) as process:
        process.begin()
        await asyncio.to_thread(wait_until, "an order is under way", desk.is_under_way)
        process.kill()
    assert desk.plan(plan_id).state == "running"
    desk.world.simulator.control.clear_faults()

    _, state = await desk.start()

    assert state.name == "Completed", state.message
    assert desk.plan(plan_id).state == "done"
    desk.check_books()
    assert len(desk.told("💼 Rebalanced: ")) == 1


@pytest.mark.usefixtures("unattended")
async def test_where_no_leg_can_be_traded_the_plan_fails_and_its_legs_are_shown_with_the_reason(desk: Desk) -> None:
    plan_id = await desk.propose()
    desk.world.query("UPDATE symbols SET min_notional = 1000000")
    run, state = await desk.start()
    assert state.type == "FAILED" and "minimum" in str(state.message)
    assert desk.plan(plan_id).state == "failed"
    shown = (await read_artifacts(run.id))["rebalance-plan"]
    assert "approved by **settings**" in shown and "part is below the exchange's minimum" in shown
    [told] = desk.told("💼 Rebalancing failed: 0 of ")
    assert "minimum" in told


@pytest.mark.usefixtures("unattended")
async def test_a_plan_that_is_larger_than_the_limits_trades_nothing_and_people_are_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_MAX_DAY_NOTIONAL", "10")
    proposed = await rebalance_portfolio("demo", return_state=True)
    assert proposed.name == "Partial" and len(desk.told("It is larger than the limits and would be refused")) == 1
    _, state = await desk.start()
    assert state.type == "FAILED" and "FKS_MAX_DAY_NOTIONAL allows 10.00 USDT a day" in str(state.message)
    assert desk.orders() == [] and desk.world.query("SELECT state FROM rebalance_plans") == [("proposed",)]
    assert len(desk.told("larger than the limits, so nothing of it is sent")) == 1


@pytest.mark.usefixtures("unattended")
async def test_a_paper_account_is_rebalanced_by_the_same_orders_without_a_person(desk: Desk) -> None:
    proposed = await rebalance_portfolio("paper", return_state=True)
    assert proposed.name == "Completed", proposed.message
    _, state = await desk.start(account="paper")
    assert state.name == "Completed", state.message
    orders = desk.orders()
    assert orders and {(order.account, order.state) for order in orders} == {("paper", "filled")}
    assert all(order.approval.startswith("settings, ") for order in orders)
    [(cash, equity)] = desk.world.query("SELECT cash_free, equity FROM balance_history WHERE account = 'paper'")
    assert Decimal("0.2") <= cash / equity < Decimal("0.22")
