"""open-position and close-position as a person, and as a crossed limit, runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Completed, Crashed, Running, Scheduled
from prefect.variables import Variable

from deployments.specification import load_prefect_file
from flows import exits
from flows.market import critical_path
from flows.on_demand import close_position, open_position
from lib.execution.halt import VARIABLE
from lib.settings import PROJECT_ROOT
from tests.platforms import World, flow_environment
from tests.prefect_servers import PrefectServer, wait_until
from tests.runs import execute, read_artifacts, read_run
from tests.simulators import API_KEY, API_SECRET

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
SYMBOL = "SOL/USDT"
Deploy = Callable[[Flow[..., Any]], Awaitable[UUID]]

# Runs a run of the server in a process of its own, as a worker does.
RUN = """
import asyncio, sys
from flows import on_demand
from tests.runs import execute, read_run
asyncio.run(execute(getattr(on_demand, sys.argv[1]), asyncio.run(read_run(sys.argv[2]))))
"""


@pytest.fixture(autouse=True)
def still_market(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 2}))
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_KEY", API_KEY)
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_SECRET", API_SECRET)
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_LOSS_PCT", "8")
    prefect_world.simulator.control.scenario("flat")


@pytest.fixture
async def deploy(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Deploy]:
    """Deploy a flow under a name of the test's own, without a worker."""
    made = []

    async def make(flow: Flow[..., Any]) -> UUID:
        name = f"test-{uuid4().hex}"
        async with get_client() as client:
            made.append(await client.create_deployment(await client.create_flow(flow), name))
        monkeypatch.setattr(exits, "DEPLOYMENT", f"{flow.name}/{name}")
        return made[-1]

    yield make
    async with get_client() as client:
        for deployment in made:
            await client.delete_deployment(deployment)


@pytest.fixture
def halted(prefect_world: World) -> Iterator[Callable[[str | None], Awaitable[None]]]:
    async def switch(reason: str | None) -> None:
        if reason is None:
            await Variable.aunset(VARIABLE)
        else:
            await Variable.aset(VARIABLE, reason, overwrite=True)

    yield switch


async def start(deployment: UUID, **parameters: Any) -> FlowRun:
    async with get_client() as client:
        return await client.create_flow_run_from_deployment(deployment, parameters=parameters)


async def answer(run: FlowRun, decision: str) -> Any:
    async with get_client() as client:
        form = {"approved_by": "Ada", "decision": decision}
        return await client.resume_flow_run(run.id, run_input=form)


async def list_runs(deployment: UUID) -> list[FlowRun]:
    async with get_client() as client:
        of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        return await client.read_flow_runs(deployment_filter=of_it, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


@contextmanager
def run_in_a_process(server: PrefectServer, run: FlowRun) -> Iterator[subprocess.Popen[bytes]]:
    """Run a run of close-position in a process that is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "close_position", str(run.id)],
        env=flow_environment(server),
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def list_orders(world: World) -> list[dict[str, Any]]:
    """The orders in the simulator's books that are ours."""
    orders = world.simulator.control.request("GET", "/books")["accounts"][API_KEY]["orders"]
    return [one for one in orders if one["client_order_id"].startswith("fks-")]


def told(world: World, word: str) -> list[str]:
    return [content for content in world.webhooks.contents if word in content]


async def test_an_approved_purchase_is_a_position_with_its_stop_and_a_confirmation(
    prefect_world: World, deploy: Deploy
) -> None:
    await critical_path(return_state=True)
    deployment = await deploy(open_position)
    wish = {"account": "demo", "symbol": SYMBOL, "notional": 1000, "stop_loss": 0.5}
    dry = await execute(open_position, await start(deployment, **wish))
    assert dry.name == "Completed", dry.message
    assert list_orders(prefect_world) == []

    run = await start(deployment, **wish, execute=True)
    assert (await execute(open_position, run)).name == "Suspended"
    (asked,) = told(prefect_world, "Approval wanted: buy")
    assert f"/runs/flow-run/{run.id}" in asked
    assert (await answer(run, "approved")).status is SetStateStatus.ACCEPT
    done = await execute(open_position, await read_run(run.id))

    assert done.name == "Completed", done.message
    assert prefect_world.query("SELECT stop_loss FROM positions WHERE symbol = :s", s=SYMBOL) == [(Decimal("0.5"),)]
    (bought,) = told(prefect_world, "Bought SOL/USDT")
    assert "Approved by Ada" in bought and "fee" in bought
    shown = (await read_artifacts(run.id))["open-position"]
    assert "place_order" in shown and "what does not fill" not in shown

    async with get_client() as client:  # by hand, though it has done everything
        await client.set_flow_run_state(run.id, Scheduled(), force=True)
    again = await execute(open_position, await read_run(run.id))
    assert again.name == "Completed", again.message
    assert len(list_orders(prefect_world)) == 1
    assert len(told(prefect_world, "Bought SOL/USDT")) == 1


async def test_a_rejection_and_no_answer_send_nothing(
    prefect_world: World, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await critical_path(return_state=True)
    deployment = await deploy(close_position)
    rejected = await start(deployment, account="demo", symbol=SYMBOL, execute=True)
    assert (await execute(close_position, rejected)).name == "Suspended"
    await answer(rejected, "rejected")
    state = await execute(close_position, await read_run(rejected.id))
    assert state.is_completed() and "rejected" in (await read_run(rejected.id)).name

    monkeypatch.setenv("FKS_APPROVAL_HOURS", "0.0001")
    silent = await start(deployment, account="demo", symbol=SYMBOL, execute=True)
    await execute(close_position, silent)
    assert (await answer(silent, "approved")).status is SetStateStatus.REJECT
    assert (await read_run(silent.id)).state_name == "Failed"
    assert list_orders(prefect_world) == []


async def test_a_crossed_stop_asks_for_an_approval_once_and_sells_though_the_price_falls_on(
    prefect_world: World, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_POLICY", "approve")
    await critical_path(return_state=True)
    deployment = await deploy(close_position)
    price = prefect_world.let_stop_trigger(SYMBOL)

    await critical_path(return_state=True)
    # As a process leaves it that was killed between the start of the run and the note of it.
    prefect_world.query("UPDATE position_exits SET state = 'wanted', attempts = 0, run = NULL")
    await critical_path(return_state=True)

    (alert,) = told(prefect_world, "Stop loss triggered")
    assert "waits for your approval" in alert
    (run,) = await list_runs(deployment)
    assert (await execute(close_position, run)).name == "Suspended"
    assert len(told(prefect_world, "Approval wanted: sell")) == 1
    await critical_path(return_state=True)
    assert len(await list_runs(deployment)) == 1

    prefect_world.simulator.control.set_price("SOLUSDT", round(price * Decimal("0.93"), 2))
    await answer(run, "approved")
    done = await execute(close_position, await read_run(run.id))
    assert done.name == "Completed", done.message
    assert len(told(prefect_world, "Sold SOL/USDT")) == 1
    assert prefect_world.query("SELECT state, attempts FROM position_exits") == [("done", 1)]
    await critical_path(return_state=True)
    assert len(await list_runs(deployment)) == len(list_orders(prefect_world)) == 1


async def test_a_crossed_stop_is_sold_at_once_and_what_fails_is_told_and_tried_by_the_next_chain(
    prefect_world: World,
    deploy: Deploy,
    halted: Callable[[str | None], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_POLICY", "exit")
    await critical_path(return_state=True)
    monkeypatch.setattr(exits, "DEPLOYMENT", "close-position/absent")
    prefect_world.let_stop_trigger(SYMBOL)
    state = await critical_path(return_state=True)  # the alarm is stored, no run can be started
    assert state.name == "Partial"
    assert prefect_world.query("SELECT state FROM position_exits") == [("wanted",)]
    (alert,) = told(prefect_world, "Stop loss triggered")
    assert "sells it now" in alert
    deployment = await deploy(close_position)

    await halted("the exchange is odd")
    try:
        await critical_path(return_state=True)
        (first,) = await list_runs(deployment)
        refused = await execute(close_position, first)
    finally:
        await halted(None)
    assert refused.is_completed() and refused.name == "Partial"
    (failed,) = told(prefect_world, "Not sold: SOL/USDT")
    assert "the exchange is odd" in failed
    assert list_orders(prefect_world) == []

    await critical_path(return_state=True)
    _, second = await list_runs(deployment)
    done = await execute(close_position, second)
    assert done.name == "Completed", done.message
    (sold,) = told(prefect_world, "Sold SOL/USDT")
    assert "stop_loss policy exit" in sold and "realized" in sold
    assert prefect_world.query("SELECT state, attempts FROM position_exits") == [("done", 2)]
    await critical_path(return_state=True)
    assert len(await list_runs(deployment)) == 2 and len(list_orders(prefect_world)) == 1
    assert len(told(prefect_world, "Stop loss triggered")) == 1


async def test_a_run_that_waits_is_cancelled_when_another_one_or_none_is_wanted(
    prefect_world: World, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_POLICY", "approve")
    await critical_path(return_state=True)
    deployment = await deploy(close_position)
    price = prefect_world.let_stop_trigger(SYMBOL)

    async def check_again() -> tuple[list[str | None], list[tuple[Any, ...]]]:
        await critical_path(return_state=True)
        states = [run.state_name for run in await list_runs(deployment)]
        return states, [
            tuple(row) for row in prefect_world.query("SELECT policy, state FROM position_exits ORDER BY exit_id")
        ]

    assert await check_again() == (["Scheduled"], [("approve", "started")])
    (form,) = await list_runs(deployment)
    assert (await execute(close_position, form)).name == "Suspended"

    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__STOP_POLICY", "exit")
    assert await check_again() == (["Cancelled", "Scheduled"], [("exit", "started")])
    assert (await answer(form, "approved")).status is SetStateStatus.ABORT
    assert (await check_again())[0] == ["Cancelled", "Scheduled"]

    # As if the run were of a take profit: the price falls through the stop loss only now.
    prefect_world.query("UPDATE position_exits SET kind = 'take_profit', policy = 'approve'")
    prefect_world.query("TRUNCATE position_alarms")
    _, first = await list_runs(deployment)
    async with get_client() as client:
        await client.set_flow_run_state(first.id, Running(), force=True)
        assert await check_again() == (["Cancelled", "Running"], [("approve", "void"), ("exit", "wanted")])
        await client.set_flow_run_state(first.id, Completed(), force=True)
    replaced = [("approve", "void"), ("exit", "started")]
    assert await check_again() == (["Cancelled", "Completed", "Scheduled"], replaced)

    prefect_world.simulator.control.set_price("SOLUSDT", round(price * Decimal("1.1"), 2))
    assert await check_again() == (["Cancelled", "Completed", "Cancelled"], [("approve", "void"), ("exit", "void")])
    assert list_orders(prefect_world) == []


async def test_a_sale_that_is_killed_after_its_order_was_booked_is_ended_by_the_same_run_with_one_order(
    prefect_world: World, deploy: Deploy, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__APPROVAL_REQUIRED", "false")
    await critical_path(return_state=True)
    run = await start(await deploy(close_position), account="demo", symbol=SYMBOL, execute=True)
    prefect_world.simulator.control.arm("timeout_after", "/api/v3/order", "POST", seconds=30)
    with run_in_a_process(prefect_server, run) as process:
        wait_until("the order is booked", lambda: list_orders(prefect_world))
        process.kill()
        process.wait()
    assert prefect_world.query("SELECT state FROM orders") == [("attempted",)]
    prefect_world.simulator.control.request("DELETE", "/faults")

    async with get_client() as client:
        await client.set_flow_run_state(run.id, Crashed(), force=True)
        await client.set_flow_run_state(run.id, Scheduled(), force=True)
    done = await execute(close_position, await read_run(run.id))

    assert done.name == "Completed", done.message
    (order,) = list_orders(prefect_world)
    assert Decimal(order["executed"]) > 0
    assert len(told(prefect_world, "Sold SOL/USDT")) == 1
    assert prefect_world.query("SELECT count(*) FROM order_intents") == [(1,)]


def test_what_an_exit_starts_is_in_prefect_yaml() -> None:
    file = load_prefect_file(PROJECT_ROOT / "prefect.yaml")
    assert exits.DEPLOYMENT in {each.full_name for each in file.deployments}
