"""What a run shows people: its artifacts, the progress of long work, and messages that nobody was told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from time import monotonic

import pytest
from prefect import flow

from flows.market import critical_path
from flows.showing import progress_artifact
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def test_without_a_channel_the_artifact_shows_the_alert_and_that_nobody_is_told(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FKS_CHANNELS__TEAM__URL")
    await critical_path(account="", return_state=True)
    prefect_world.let_stop_trigger("SOL/USDT")

    state = await critical_path(return_state=True)
    [[price]] = prefect_world.query("SELECT price FROM positions WHERE symbol = 'SOL/USDT'")  # the market goes on

    artifacts = await read_artifacts(id_of(state))
    assert list(artifacts) == ["critical-path"]
    text = re.sub(" +", " ", artifacts["critical-path"])
    (sol,) = [line for line in text.splitlines() if line.startswith("| demo | SOL/USDT")]
    assert re.search(rf"\| -[\d,.]+ USDT \| -\d+\.\d\d % \| {price.normalize():f} \|", sol), sol
    assert f"🛑 triggered: {price.normalize():f} is at or below the stop loss" in text
    assert "### Not delivered" in text
    assert "| urgent | 🛑 Stop loss triggered: SOL/USDT (demo) |" in text
    assert "nobody is told" in text
    assert (await read_run(id_of(state))).name.endswith("1 triggered, 1 alert, 1 untold")


async def test_a_long_backfill_shows_its_progress_to_the_end(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_EXCHANGE_CONCURRENCY", "1")
    prefect_world.simulator.control.arm("delay", "/api/v3/klines", count=0, seconds=0.25)
    state = await critical_path(return_state=True)
    artifacts = await read_artifacts(id_of(state))
    assert set(artifacts) == {"critical-path", "sync-market-data"}
    assert float(artifacts["sync-market-data"]) == 100


async def test_work_in_a_thread_shows_its_progress_too(prefect_world: World) -> None:
    @flow
    async def work() -> None:
        async with progress_artifact("thread-work") as show:
            await asyncio.to_thread(report, show)

    def report(show: Callable[[int, int, str], None]) -> None:
        begun = monotonic()
        while monotonic() - begun < 1.1:
            show(1, 4, "series")
        show(4, 4, "series")

    state = await work(return_state=True)
    assert state.is_completed()
    assert float((await read_artifacts(id_of(state)))["thread-work"]) == 100
