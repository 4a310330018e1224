"""The code on the page docs/extending.md works as the page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lib.tasks
from deployments.specification import load_prefect_file
from flows import market, tasks
from lib.indicators.shelf import IndicatorShelf
from lib.settings import PROJECT_ROOT
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run
from tests.strategy.worlds import cut, make_walk

PAGE = (PROJECT_ROOT / "docs" / "extending.md").read_text()
STRATEGY, FUNCTION, TASK, FLOW = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(DEPLOYMENT,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_strategy_decides_without_looking_ahead() -> None:
    room: dict[str, Any] = {"__name__": "my_strategy"}
    exec(STRATEGY, room)
    strategy = room["MyStrategy"]()
    candles = make_walk(3, 600)
    whole = strategy.decide(IndicatorShelf(candles))
    part = strategy.decide(IndicatorShelf(cut(candles, 0, 400)))
    assert whole.entries.any()
    np.testing.assert_array_equal(whole.entries[:, :400], part.entries)
    row, bar = np.argwhere(whole.entries)[0]
    assert "SMA 50" in " ".join(whole.explain(int(row), int(bar)))
    assert strategy.calc_search_space()["period"] == tuple(range(20, 101, 10))


def test_the_deployment_is_one_that_apply_takes(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(DEPLOYMENT)
    (spec,) = load_prefect_file(path).deployments
    assert (spec.flow_name, spec.when) == ("spreads", "cron `17 * * * *`")


@pytest.fixture
def spreads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The flow of the page, its pieces where the page puts them."""
    function = ModuleType("lib.tasks.spreads")
    exec(FUNCTION, vars(function))
    monkeypatch.setitem(sys.modules, function.__name__, function)
    monkeypatch.setattr(lib.tasks, "spreads", function, raising=False)
    for module, code, name in ((tasks, TASK, "measure_spreads"), (market, FLOW, "spreads")):
        room = dict(vars(module))
        exec(code, room)
        monkeypatch.setattr(module, name, room[name], raising=False)
    return vars(market)["spreads"]


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(180)
async def test_the_flow_names_its_run_and_shows_what_failed(prefect_world: World, spreads: Any) -> None:
    state = await spreads(return_state=True)
    assert state.name == "Completed", state.message
    assert "4 spreads" in str((await read_run(id_of(state))).name)
    assert " bps" in (await read_artifacts(id_of(state)))["spreads"]

    state = await spreads(["BTC/USDT", "NONE/USDT"], return_state=True)
    assert state.name == "Partial", state.message
    assert "NONE/USDT" in (await read_artifacts(id_of(state)))["spreads"]
