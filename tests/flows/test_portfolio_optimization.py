"""The daily look at every account's allocation, on real parts."""

from __future__ import annotations

from base64 import b64decode

import pytest

from flows.daily import portfolio_optimization
from flows.market import critical_path
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
PNG = b"\x89PNG\r\n\x1a\n"


async def test_an_account_that_is_off_gets_a_plan_that_people_see_as_a_table_and_a_picture(
    prefect_world: World,
) -> None:
    await critical_path(return_state=True)
    prefect_world.query("UPDATE account_balances SET seen_at = seen_at - interval '2 hours'")  # too old to plan with

    state = await portfolio_optimization(return_state=True)

    assert state.name == "Completed", state.message
    [(plan_id, account)] = prefect_world.query("SELECT plan_id, account FROM rebalance_plans WHERE state = 'proposed'")
    assert account == "demo"
    artifacts = await read_artifacts(id_of(state))
    assert f"plan {plan_id} (" in artifacts["portfolio-optimization"]
    assert "outside ±5" in artifacts["portfolio-optimization"]
    kind, _, content = artifacts["allocation-demo"].partition(",")
    assert kind == "data:image/png;base64" and b64decode(content).startswith(PNG)
    (told,) = [text for text in prefect_world.webhooks.contents if "What to do: review plan" in text]
    assert f"run rebalance-portfolio with account demo, plan {plan_id} and execute on" in told
    assert "1 plan, " in (await read_run(id_of(state))).name


async def test_an_unknown_account_is_refused_by_name(prefect_world: World) -> None:
    state = await portfolio_optimization("dmeo", return_state=True)
    assert state.type == "FAILED"
    assert "Unknown account 'dmeo'. Expected one of demo" in str(state.message)
