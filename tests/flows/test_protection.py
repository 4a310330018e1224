"""Protective orders as the chain keeps them: placed by a run that it starts, sold on the exchange, told once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from deployments.specification import load_prefect_file
from flows import protection
from flows.market import critical_path
from flows.on_demand import close_position, protect_positions, set_stop_loss
from lib.settings import PROJECT_ROOT
from tests.platforms import World
from tests.runs import execute
from tests.simulators import API_KEY, API_SECRET

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
SYMBOL = "SOL/USDT"


@pytest.fixture(autouse=True)
def protected_account(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 2}))
    for name, value in {
        "KIND": "live",
        "API_KEY": API_KEY,
        "API_SECRET": API_SECRET,
        "PROTECTIVE_ORDERS": "true",
        "APPROVAL_REQUIRED": "false",
    }.items():
        monkeypatch.setenv(f"FKS_ACCOUNTS__DEMO__{name}", value)
    prefect_world.simulator.control.scenario("flat")


@pytest.fixture
async def deployment(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UUID]:
    """The flow under a name of the test's own, without a worker."""
    name = f"test-{uuid4().hex}"
    async with get_client() as client:
        made = await client.create_deployment(await client.create_flow(protect_positions), name)
    monkeypatch.setattr(protection, "DEPLOYMENT", f"{protect_positions.name}/{name}")
    monkeypatch.setattr(protection, "SLOT_SECONDS", 1)  # chains follow each other within seconds here
    yield made
    async with get_client() as client:
        await client.delete_deployment(made)


async def list_runs(deployment: UUID) -> list[FlowRun]:
    async with get_client() as client:
        of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        return await client.read_flow_runs(deployment_filter=of_it, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


def list_open(world: World) -> list[dict[str, Any]]:
    orders = world.simulator.control.request("GET", "/books")["accounts"][API_KEY]["orders"]
    return [one for one in orders if one["client_order_id"].startswith("fks-") and one["status"] == "NEW"]


def told(world: World, word: str) -> list[str]:
    return [content for content in world.webhooks.contents if word in content]


async def test_a_position_is_protected_by_the_chain_through_its_life(prefect_world: World, deployment: UUID) -> None:
    await critical_path(return_state=True)
    assert await list_runs(deployment) == []  # without a stop loss there is nothing to rest
    [[price]] = prefect_world.query("SELECT price FROM positions WHERE symbol = :s", s=SYMBOL)
    prefect_world.query("UPDATE positions SET stop_loss = :stop WHERE symbol = :s", stop=price * 9 / 10, s=SYMBOL)
    await critical_path(return_state=True)
    (run,) = await list_runs(deployment)
    assert run.parameters == {"account": "demo", "again": False}
    done = await execute(protect_positions, run)
    assert done.name == "Completed", done.message
    assert [one["type"] for one in list_open(prefect_world)] == ["STOP_LOSS_LIMIT"]

    target = round(price * Decimal("1.3"), 2)
    await set_stop_loss("demo", SYMBOL, take_profit=target, return_state=True)  # followed at once
    assert sorted(one["type"] for one in list_open(prefect_world)) == ["LIMIT_MAKER", "STOP_LOSS_LIMIT"]
    await close_position("demo", SYMBOL, share_pct=Decimal(50), execute=True, return_state=True)
    (left,) = {Decimal(one["quantity"]) for one in list_open(prefect_world)}
    [[held]] = prefect_world.query("SELECT quantity FROM positions WHERE symbol = :s", s=SYMBOL)
    assert 0 <= held - left < Decimal("0.02")

    prefect_world.simulator.control.set_price("SOLUSDT", round(price * Decimal("0.895"), 2))
    state = await critical_path(return_state=True)
    assert state.is_completed(), state.message
    assert told(prefect_world, "Stop loss triggered") == []
    (sold,) = told(prefect_world, "Stop loss sold on the exchange")
    assert "USDT realized" in sold
    assert len(await list_runs(deployment)) == 1 and list_open(prefect_world) == []


def test_what_the_chain_starts_is_in_prefect_yaml() -> None:
    file = load_prefect_file(PROJECT_ROOT / "prefect.yaml")
    assert protection.DEPLOYMENT in {each.full_name for each in file.deployments}
