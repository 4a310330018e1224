"""The nightly look at every strategy, on real parts."""

from __future__ import annotations

import json

import pytest

from flows.daily import strategy_validation
from flows.market import critical_path
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def test_strategies_that_fail_are_disabled_and_people_get_numbers_and_a_picture(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = await strategy_validation(return_state=True)
    assert early.type == "FAILED"
    assert "cannot be judged" in str(early.message)
    assert prefect_world.query("SELECT DISTINCT state FROM strategies") == [("active",)]

    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 60}))
    monkeypatch.setenv("FKS_VALIDATION_DAYS", "30")
    monkeypatch.setenv("FKS_VALIDATION_MIN_SHARPE", "10")
    await critical_path(return_state=True)
    state = await strategy_validation("breakout", return_state=True)

    assert state.name == "Completed", state.message
    [(stands, why)] = prefect_world.query("SELECT state, why FROM strategies WHERE name = 'breakout'")
    assert stands == "disabled"
    assert "expected above 10" in why
    assert "fails, and is disabled" in (await read_artifacts(id_of(state)))["strategy-validation"]
    assert "1 strategy judged, 1 disabled" in (await read_run(id_of(state))).name
    (told,) = [text for text in prefect_world.webhooks.contents if "gives no signals from now on" in text]
    assert "Strategy breakout disabled: Sharpe" in told
    assert prefect_world.query("SELECT state FROM strategies WHERE name = 'mean_reversion'") == [("active",)]
