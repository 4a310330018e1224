"""The nightly search of parameters, on real parts."""

from __future__ import annotations

import json
import socket
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import LocalCluster
from prefect import flow

from flows import sweeping
from flows.daily import backtesting
from lib.errors import DataError, WorkersUnavailable
from lib.market.timeframes import floor_to_timeframe
from lib.platform import Platform
from lib.research.cells import Cell, Tried
from lib.research.planning import Stock, assign
from lib.research.rules import TradingRules
from lib.research.search import SearchPlan
from lib.research.searching import Outcome
from lib.settings import Settings
from lib.strategy.registry import STRATEGIES
from lib.strategy.stores import StoredStrategy, StrategyState
from lib.tasks import market
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run, read_task_runs

# A cluster whose worker is a thread here; everything is sent as to another machine.
CLUSTER = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "protocol": "tcp", "dashboard_address": None}
pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def test_a_search_leaves_candidates_with_their_numbers_and_says_what_it_found(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 90}))
    monkeypatch.setenv("FKS_SEARCH_TRAIN_DAYS", "20")
    monkeypatch.setenv("FKS_SEARCH_TEST_DAYS", "10")
    monkeypatch.setenv("FKS_SEARCH_COMBINATIONS", "20")
    monkeypatch.setenv("FKS_SEARCH_PROCESSES", "0")
    monkeypatch.setenv("FKS_HOME", str(tmp_path))
    state = await backtesting("breakout", ["BTC/USDT", "SOL/USDT"], return_state=True)

    assert state.name == "Completed", state.message
    artifacts = await read_artifacts(id_of(state))
    table = artifacts["backtesting"]
    [page] = (tmp_path / "backtests").iterdir()
    assert page.name.endswith("-breakout-btc-usdt-sol-usdt.html")
    assert str(page) in table
    assert page.read_text().count("data:image/webp;base64,") == 4
    assert artifacts["search-breakout"].startswith("data:image/webp;base64,")
    runs = await read_task_runs(id_of(state))
    assert {name for name in runs if name.startswith("try_parameters")} == {
        "try_parameters breakout BTC/USDT",
        "try_parameters breakout SOL/USDT",
    }
    for words in ("deflated Sharpe", "out of sample", "| breakout", "| 20 "):
        assert words in table
    assert "1 strategy searched" in (await read_run(id_of(state))).name
    stored = prefect_world.query("SELECT state, metrics FROM strategy_parameters WHERE strategy = 'breakout'")
    assert ("active", None) in [tuple(row) for row in stored]
    for row in stored:
        if row.state == "candidate":
            assert row.metrics["symbols"] == ["BTC/USDT", "SOL/USDT"]
            assert row.metrics["out_of_sample"]["days"] >= 20

    refused = await backtesting("breakin", return_state=True)
    assert "Unknown strategy 'breakin'" in str(refused.message)


@flow(validate_parameters=False)
def work_out(cells: list[Cell], settings: Settings) -> list[Outcome]:
    """What the task `run_backtest` does with cells."""
    return list(sweeping.make_work(settings)(cells))


async def test_whoever_works_a_cell_out_finds_the_same_numbers(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 60}))
    async with prefect_world.platform() as platform:
        await market.sync_market_data(platform)
        cells = plan_cells(platform)
    broken = replace(cells[0], symbol="NOBODY/USDT", universe=("NOBODY/USDT",))
    with LocalCluster(**CLUSTER) as cluster:  # type: ignore[no-untyped-call]  # distributed has no types
        ways = {"search_processes": 0}, {"search_processes": 1}, {"dask_address": cluster.scheduler_address}
        by_threads, *others = [work_out([*cells, broken], platform.settings.model_copy(update=way)) for way in ways]
    assert isinstance(by_threads[0], Tried)
    assert by_threads[0].daily_returns.shape == (12, 40)
    assert isinstance(by_threads[-1], DataError)
    for found in others:
        for ours, theirs in zip(by_threads[:-1], found[:-1], strict=True):
            for field in fields(Tried):
                np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))
        assert str(found[-1]) == str(by_threads[-1])


def plan_cells(platform: Platform) -> list[Cell]:
    """A cell of a strategy that reads one symbol, and one of the strategy that reads the market."""
    end = floor_to_timeframe(platform.clock.now(), "1d")
    symbols = platform.settings.symbols
    stock = Stock("1h", symbols, dict.fromkeys(symbols, end - timedelta(days=60)), end - timedelta(days=60), end)
    plan = SearchPlan(combinations=12, train_days=20, test_days=10)
    cells = []
    for name in ("breakout", "index_momentum"):
        stored = StoredStrategy(name, StrategyState.ACTIVE, "", end, 1, {})
        one = assign(stored, STRATEGIES[name](), symbols[:1], stock, TradingRules(), plan)
        cells += [replace(cell, starts_at=end - timedelta(days=40)) for cell in one.cells]
    return cells


async def test_a_cluster_that_does_not_answer_is_named(prefect_world: World) -> None:
    async with prefect_world.platform() as platform:
        cells = plan_cells(platform)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        silent = platform.settings.model_copy(update={"dask_address": f"tcp://127.0.0.1:{taken.getsockname()[1]}"})
        soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
        with soon, pytest.raises(WorkersUnavailable, match="FKS_DASK_ADDRESS does not answer"):
            work_out(cells, silent)
