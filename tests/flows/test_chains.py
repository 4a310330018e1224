"""The 15-minute, 30-minute and hourly chains, on real parts."""

from __future__ import annotations

import json

import pytest

from flows.market import critical_path, market_analysis, news, signal_generation
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def enough_history(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as the slowest indicator needs."""
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"5m": 2, "1h": 20}))


async def test_signals_balances_risk_and_news_run_after_the_first_critical_path(prefect_world: World) -> None:
    await critical_path(return_state=True)
    for flow, key, shown in (
        (signal_generation, "signal-generation", ("trend", "SOL/USDT", "equity")),
        (market_analysis, "market-analysis", ("exposure", "1h")),
        (news, "news", ("simulator",)),
    ):
        state = await flow(return_state=True)
        assert state.name == "Completed", (key, state.message)
        text = (await read_artifacts(id_of(state)))[key]
        for word in shown:
            assert word in text, (key, word, text)


async def test_chains_that_meet_sync_once_and_say_that_the_rest_is_fresh(prefect_world: World) -> None:
    await critical_path(return_state=True)
    state = await market_analysis(return_state=True)
    assert "fresh" in (await read_run(id_of(state))).name
    assert "fresh" in (await read_artifacts(id_of(state)))["market-analysis"]
