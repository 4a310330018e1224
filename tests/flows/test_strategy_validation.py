"""The nightly look at every strategy, on real parts."""

from __future__ import annotations

import json

import pytest

from flows.daily import strategy_validation
from flows.market import critical_path
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


def forge_signal(world: World) -> None:
    """Store a BUY of yesterday's first candle as no strategy would have given it."""
    world.query(
        "INSERT INTO signals (timeframe, opened_at, strategy, symbol, action, version, price, stop_loss, take_profit,"
        " confidence, reasons, created_at)"
        " SELECT timeframe, opened_at, 'breakout', symbol, 'buy', 1, close, close / 10,"
        " close * 10, 1, '[]', opened_at + interval '1 hour' FROM candles WHERE timeframe = '1h' AND opened_at ="
        " (SELECT date_trunc('day', max(opened_at) + interval '1 hour', 'UTC') - interval '1 day' FROM candles"
        " WHERE timeframe = '1h') ORDER BY symbol LIMIT 1"
    )


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
    forge_signal(prefect_world)
    state = await strategy_validation("breakout", return_state=True)

    assert state.name == "Partial", state.message
    [(stands, why)] = prefect_world.query("SELECT state, why FROM strategies WHERE name = 'breakout'")
    assert stands == "disabled"
    assert "expected above 10" in why
    shown = (await read_artifacts(id_of(state)))["strategy-validation"]
    assert "fails, and is disabled" in shown
    assert "| different | action" in " ".join(shown.split())
    assert any("Signal differs when recomputed" in text for text in prefect_world.webhooks.contents)
    assert "1 strategy judged, 1 disabled" in (await read_run(id_of(state))).name
    (told,) = [text for text in prefect_world.webhooks.contents if "gives no signals from now on" in text]
    assert "Strategy breakout disabled: Sharpe" in told
    assert prefect_world.query("SELECT state FROM strategies WHERE name = 'mean_reversion'") == [("active",)]
