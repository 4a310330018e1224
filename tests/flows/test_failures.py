"""What fails is retried where that helps, shown where people look, and keeps no stop loss from being checked."""

from __future__ import annotations

import pytest

from flows import tasks
from flows.market import critical_path
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run, read_task_runs

pytestmark = [
    pytest.mark.stack,
    pytest.mark.xdist_group("stack"),
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("quick_retries"),
]
KLINES = "/api/v3/klines"


def forget_candles(world: World) -> None:
    """Make every series due again."""
    world.query("TRUNCATE candles, sync_status, candle_gaps")


async def test_one_symbol_that_fails_makes_the_chain_partial_and_stops_nothing_else(prefect_world: World) -> None:
    prefect_world.simulator.control.arm("status", KLINES, symbol="SOLUSDT", count=0, status=503)
    state = await critical_path(return_state=True)
    assert (state.type, state.name) == ("COMPLETED", "Partial")
    stored = prefect_world.query(
        "SELECT symbol, count(DISTINCT timeframe) FROM candles GROUP BY symbol ORDER BY symbol"
    )
    assert [tuple(row) for row in stored] == [("BTC/USDT", 2), ("ETH/USDT", 2), ("LINK/USDT", 2)]
    name = (await read_run(id_of(state))).name
    assert "2 failed (SOL/USDT 5m, SOL/USDT 1h)" in name
    assert "5 positions" in name
    assert "5 watched" in name
    text = (await read_artifacts(id_of(state)))["critical-path"]
    assert "❌ | SOL/USDT 5m | simulator could not serve klines of SOL/USDT 5m" in " ".join(text.split())
    tasks = await read_task_runs(id_of(state))
    assert (tasks["sync_market_data"].state_name, tasks["sync_market_data"].run_count) == ("Partial", 1)
    assert tasks["check_stop_loss"].state_name == "Completed"


async def test_without_any_candle_a_stop_that_is_triggered_is_told_in_the_same_run(prefect_world: World) -> None:
    await critical_path(return_state=True)
    forget_candles(prefect_world)
    prefect_world.simulator.control.arm("status", KLINES, count=0, status=503)
    prefect_world.let_stop_trigger("SOL/USDT")

    state = await critical_path(return_state=True)

    assert state.type == "FAILED"
    assert "sync_market_data failed: " in str(state.message)
    assert "could not serve klines" in str(state.message)
    assert "1 triggered" in (name := (await read_run(id_of(state))).name)
    assert "failed: sync_market_data" in name
    (told,) = prefect_world.webhooks.contents
    assert "🛑" in told
    assert "SOL/USDT" in told
    assert told.splitlines()[-1].endswith(f"/runs/flow-run/{id_of(state)}")
    tasks = await read_task_runs(id_of(state))
    assert {name: run.run_count for name, run in tasks.items()} == {
        "sync_market_data": 3,
        "update_positions": 1,
        "check_stop_loss": 1,
        "send_notifications": 1,
    }
    assert (await read_artifacts(id_of(state)))["critical-path"].count("❌") == 1


async def test_what_a_person_must_mend_and_answers_that_cannot_be_used_are_not_retried(prefect_world: World) -> None:
    prefect_world.simulator.control.arm("body", KLINES, count=0, variant="html")
    state = await critical_path("savings", return_state=True)
    assert state.type == "FAILED"
    assert "Unknown account 'savings'. Expected one of demo" in str(state.message)
    tasks = await read_task_runs(id_of(state))
    assert {name: (run.state_name, run.run_count) for name, run in tasks.items()} == {
        "sync_market_data": ("Failed", 1),
        "update_positions": ("Failed", 1),
        "check_stop_loss": ("Failed", 1),
        "send_notifications": ("Skipped", 1),
    }


async def test_a_run_that_cannot_begin_is_named_after_the_reason(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", '{"7m": 1}')
    state = await critical_path(return_state=True)
    assert state.type == "FAILED"
    assert "FKS_HISTORY_DAYS__7M" in str(state.message)
    assert "failed: Settings are wrong. FKS_HISTORY_DAYS__7M" in (await read_run(id_of(state))).name


async def test_candles_that_take_too_long_are_said_to_and_not_tried_again(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SYNC_SECONDS", 1)
    prefect_world.simulator.control.arm("delay", "/api/v3/klines", count=0, seconds=3)
    state = await critical_path(return_state=True)
    assert state.type == "FAILED"
    assert "Candles took longer than 1 s" in str(state.message)
    assert (await read_task_runs(id_of(state)))["sync_market_data"].run_count == 1
