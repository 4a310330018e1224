"""The 15-minute, 30-minute and hourly chains, on real parts."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from time import time
from typing import Any

import pytest
from prefect import Flow
from prefect.client.schemas.objects import State

from flows import tasks
from flows.market import critical_path, market_analysis, news, signal_generation
from flows.on_demand import classify_break, set_strategy_state
from lib.balances.flows import FlowKind
from lib.strategy.stores import StrategyState
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run, read_task_runs

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def enough_history(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as the slowest indicator needs."""
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"5m": 2, "1h": 20}))


async def test_signals_balances_risk_and_news_run_after_the_first_critical_path(prefect_world: World) -> None:
    await critical_path(return_state=True)
    for flow, key, shown in (
        (signal_generation, "signal-generation", ("trend", "SOL/USDT", "equity")),
        (market_analysis, "market-analysis", ("exposure", "1h", "reject_unanswered_plans")),
        (news, "news", ("simulator", "send_notifications")),
    ):
        state = await flow(return_state=True)
        assert state.name == "Completed", (key, state.message)
        text = (await read_artifacts(id_of(state)))[key]
        for word in shown:
            assert word in text, (key, word, text)


async def run_within_one_candle(*chains: Flow[..., Coroutine[Any, Any, Any]]) -> list[State[Any]]:
    """Run them one after another; all again when a candle closed meanwhile."""
    while True:
        begun = time() // 300
        states = [await chain(return_state=True) for chain in chains]
        if time() // 300 == begun:
            return states


async def test_chains_that_meet_sync_once_and_say_that_the_rest_is_fresh(prefect_world: World) -> None:
    _, *states = await run_within_one_candle(critical_path, signal_generation, market_analysis)
    [[series]] = prefect_world.query("SELECT count(*) FROM sync_status")
    for state, key in zip(states, ("signal-generation", "market-analysis"), strict=True):
        synced = (await read_task_runs(id_of(state)))["sync_market_data"].state
        assert synced is not None
        assert (synced.name, synced.message) == ("Skipped", f"skipped: {series} fresh")  # so no candle was stored
        text = (await read_artifacts(id_of(state)))[key]
        told = text.split("### sync_market_data")[1].split("###")[0]
        assert f"{series} items | fresh" in " ".join(told.split()), told


async def test_stop_losses_wait_for_no_long_repair_of_candles(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await critical_path(return_state=True)
    oldest = "SELECT min(opened_at) FROM candles WHERE timeframe = '5m'"
    [[before]] = prefect_world.query(oldest)
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"5m": 3, "1h": 20}))
    monkeypatch.setattr(tasks, "CRITICAL_REPAIR_SECONDS", 0)
    state = await critical_path(return_state=True)
    assert "history goes on in the next run" in (await read_artifacts(id_of(state)))["critical-path"]
    assert prefect_world.query(oldest) == [(before,)]


async def test_what_a_chain_left_as_it_was_is_told_by_what_it_is(prefect_world: World) -> None:
    *_, state = await run_within_one_candle(critical_path, market_analysis, market_analysis)
    [[series]] = prefect_world.query("SELECT count(*) FROM sync_status")
    name = (await read_run(id_of(state))).name
    assert f" {series} fresh" in name and "indicator series fresh" in name, name


async def test_a_break_is_told_and_accepted_by_the_form_that_its_message_names(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_BREAK_SETTLE_MINUTES", "0")
    await critical_path(return_state=True)
    await signal_generation(return_state=True)
    prefect_world.query("UPDATE opening_balances SET quantity = quantity + 2 WHERE asset = 'SOL'")  # two are missing
    for _ in range(2):  # seen, then still there
        await signal_generation(return_state=True)
    (told,) = [content for content in prefect_world.webhooks.contents if "classify-break" in content]
    assert "SOL" in told
    assert prefect_world.query("SELECT asset, state FROM breaks") == [("SOL", "open")]

    done = await classify_break("demo", "sol", FlowKind.WITHDRAWAL, "to the cold wallet", return_state=True)
    assert done.name == "Completed", done.message
    state = await signal_generation(return_state=True)
    assert state.name == "Completed", state.message
    assert prefect_world.query("SELECT asset, state FROM breaks") == [("SOL", "accepted")]


async def test_a_strategy_that_a_person_disables_says_nothing_until_it_is_enabled(prefect_world: World) -> None:
    await critical_path(return_state=True)
    done = await set_strategy_state("breakout", StrategyState.DISABLED, "too many false starts", return_state=True)
    assert done.name == "Completed", done.message
    for _ in range(2):  # nothing re-creates it
        await signal_generation(return_state=True)
    spoke = prefect_world.query("SELECT DISTINCT strategy FROM signals ORDER BY strategy")
    assert [row.strategy for row in spoke] == ["index_momentum", "mean_reversion", "trend_following"]

    again = await set_strategy_state("breakout", StrategyState.ACTIVE, "tried again", return_state=True)
    assert again.name == "Completed", again.message
    await signal_generation(return_state=True)
    assert len(prefect_world.query("SELECT DISTINCT strategy FROM signals")) == 4

    unknown = await set_strategy_state("braekout", StrategyState.ACTIVE, "x", return_state=True)
    assert unknown.type == "FAILED"
    assert "breakout" in str(unknown.message)
