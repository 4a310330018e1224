"""The nightly search of parameters, on real parts."""

from __future__ import annotations

import json

import pytest

from flows.daily import backtesting
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def test_a_search_leaves_candidates_with_their_numbers_and_says_what_it_found(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"1h": 90}))
    monkeypatch.setenv("FKS_SEARCH_TRAIN_DAYS", "20")
    monkeypatch.setenv("FKS_SEARCH_TEST_DAYS", "10")
    monkeypatch.setenv("FKS_SEARCH_COMBINATIONS", "20")
    state = await backtesting("breakout", ["BTC/USDT", "SOL/USDT"], return_state=True)

    assert state.name == "Completed", state.message
    table = (await read_artifacts(id_of(state)))["backtesting"]
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
