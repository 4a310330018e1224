"""The strategy that the README shows is one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from lib.indicators.shelf import IndicatorShelf
from lib.settings import PROJECT_ROOT
from tests.strategy.worlds import cut, make_walk


def test_the_readmes_strategy_decides_without_looking_ahead() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT_ROOT / "README.md").read_text(), re.DOTALL)
    room: dict[str, Any] = {"__name__": "my_strategy"}
    exec(code, room)
    strategy = room["MyStrategy"]()
    candles = make_walk(3, 600)
    whole = strategy.decide(IndicatorShelf(candles))
    part = strategy.decide(IndicatorShelf(cut(candles, 0, 400)))
    assert whole.entries.any()
    np.testing.assert_array_equal(whole.entries[:, :400], part.entries)
    row, bar = np.argwhere(whole.entries)[0]
    assert "SMA 50" in " ".join(whole.explain(int(row), int(bar)))
    assert strategy.calc_search_space()["period"] == tuple(range(20, 101, 10))
