"""The page of a night's search: what it says, how parameters are ranked, and what happens when it cannot be made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.reporting.influence import make_grid, rank_influences
from lib.reporting.search_charts import draw_heat_map, draw_train_test
from lib.reporting.search_page import Night, choose_examples, draw_chapters, name_page, name_scope, save_page
from lib.research.backtest import backtest
from lib.research.rules import TradingRules
from lib.research.search import Search, SearchPlan
from lib.research.searching import Searched, SearchResult
from lib.research.stores import SearchRecord
from lib.research.tally import search
from lib.results import Item, Status
from lib.strategy.registry import STRATEGIES
from lib.strategy.stores import StoredStrategy, StrategyState
from tests.strategy.worlds import make_walk

BREAKOUT = STRATEGIES["breakout"]()
PLAN = SearchPlan(combinations=24, seed=3, train_days=30, test_days=10)
START, END = datetime(2026, 1, 21, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
SYMBOLS = ("S0/USDT", "S1/USDT")
STORED = StoredStrategy("breakout", StrategyState.ACTIVE, "", START, 1, {})


@cache
def found() -> Search:
    return search(BREAKOUT, make_walk(2, 24 * 90), SYMBOLS, 24 * 20, TradingRules(), PLAN, lambda *_: None)


def make_night(done: Search, *items: Item, **others: Any) -> Night:
    done = replace(done, best=3, deflated_sharpe=0.71, overfitting=0.12)
    searched = Searched(STORED, done, SYMBOLS, ("S<2>/USDT",), START, END, version=2)
    result = SearchResult(
        task="run_backtest", status=Status.OK, counts={}, items=items, started_at=END, finished_at=END
    )
    given: dict[str, Any] = {"examples": {}, "scope": ""} | others
    return Night((searched,), PLAN, result, "1h", **given)


def give_sharpes(channels: Sequence[int], exits: Sequence[int], sharpes: Sequence[float], best: int) -> Search:
    """A search whose combinations differ in channel and exit channel alone."""
    tried = tuple(
        BREAKOUT.model_copy(update={"channel": one, "exit_channel": other})
        for one, other in zip(channels, exits, strict=True)
    )
    return replace(found(), tried=tried, best=best, sharpes=np.array(sharpes))


def test_the_parameter_whose_values_differ_most_comes_first() -> None:
    # the channel's means are 1 and 3, the exit's 1.5 and 2.5, around 2; the variance of all is 1.25
    done = give_sharpes([20, 20, 40, 40], [5, 10, 5, 10], [0.5, 1.5, 2.5, 3.5], best=3)
    channel, leave = rank_influences(done)
    assert (channel.name, channel.values) == ("channel", (20.0, 40.0))
    assert (leave.name, leave.values) == ("exit_channel", (5.0, 10.0))
    assert [channel.share, leave.share] == pytest.approx([1 / 1.25, 0.25 / 1.25])


def test_a_pair_of_values_has_the_mean_of_its_combinations_and_none_where_none_was_tried() -> None:
    done = give_sharpes([20, 20, 40, 40, 40], [5, 5, 5, 10, 10], [1.0, 2.0, 4.0, 6.0, np.nan], best=3)
    grid = make_grid(done)
    assert grid is not None
    assert (grid.across.name, grid.up.name) == ("channel", "exit_channel")
    np.testing.assert_array_equal(grid.sharpes, [[1.5, 4.0], [np.nan, 6.0]])
    assert (grid.best, grid.in_force) == ((1, 1), (0, 0))


def test_one_parameter_makes_no_heat_map_and_neither_does_a_search_without_trades() -> None:
    alone = give_sharpes([20, 40], [5, 5], [1.0, 2.0], best=1)
    assert make_grid(alone) is None
    silent = give_sharpes([20, 40], [5, 10], [np.nan, np.nan], best=0)
    for done in (alone, silent):
        searched = Searched(STORED, done, SYMBOLS, (), START, END)
        assert draw_heat_map(searched, PLAN) is None


def test_windows_without_a_trade_are_drawn_as_nothing() -> None:
    walk = found().walk
    silent = replace(walk, train=np.full_like(walk.train, np.nan), test=np.full_like(walk.test, np.nan))
    searched = Searched(STORED, replace(found(), walk=silent), SYMBOLS, (), START, END)
    assert draw_train_test(searched, PLAN).startswith(b"RIFF")


def test_the_page_has_every_number_and_picture_and_needs_no_other_file(tmp_path: Path) -> None:
    candles = make_walk(2, 24 * 90)
    recent = backtest(BREAKOUT, candles, ["S0/USDT"], END - timedelta(days=30), TradingRules())
    night_before = SearchRecord(
        strategy="breakout",
        scope="",
        window_starts_at=START,
        window_ends_at=END - timedelta(days=1),
        in_force_version=1,
        candidate_version=None,
        parameters={},
        metrics={
            "out_of_sample": {"sharpe": 0.31},
            "in_force_out_of_sample": {"sharpe": None},
            "deflated_sharpe": 0.62,
            "overfitting": 0.25,
        },
        code_version="",
        searched_at=END,
    )
    failed = Item(name="breakout on S<2>/USDT", status=Status.FAILED, detail="no <b>candles</b>")
    night = make_night(found(), failed, examples={"breakout": (recent,)}, earlier={"breakout": (night_before,)})
    chapters, flaws = draw_chapters(night)
    path, not_written = save_page(night, chapters, tmp_path / "backtests", "0.1.0+test")
    assert path == tmp_path / "backtests" / "search-2026-03-31.html"
    assert flaws == not_written == []
    page = path.read_text()
    assert re.findall(r'<img alt="([^"]+)" src="data:image/webp;base64,', page) == [
        "breakout: equity and drawdown",
        "breakout: train against test",
        "breakout: parameters tried",
        "breakout: trades",
    ]
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    for words in (
        "S&lt;2&gt;/USDT",
        "no &lt;b&gt;candles&lt;/b&gt;",
        "not searched",
        "0.71",
        "12 %",
        f"{found().symbols[0].sharpe:.2f}",
        f"{found().symbols[0].best_trades:,} trades",
        "<td>2026-03-30</td><td>0.31</td><td>–</td><td>0.62</td><td>25.00 %</td><td>in force is the best</td>",
        "Candidate version 2 changes",
    ):
        assert words in page
    assert list(path.parent.iterdir()) == [path]


def test_a_picture_that_fails_is_named_and_the_others_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(found(), best_returns=found().best_returns[:-5])  # another length than the days
    night = make_night(broken)
    [chapter], flaws = draw_chapters(night)
    assert flaws == ["breakout: equity and drawdown could not be drawn (ValueError)"]
    assert [one.name for one in chapter.pictures] == ["train against test", "parameters tried"]


def test_a_page_that_cannot_be_written_is_a_flaw(tmp_path: Path) -> None:
    (tmp_path / "backtests").write_text("in the way")
    path, [flaw] = save_page(make_night(found()), [], tmp_path / "backtests", "")
    assert path is None
    assert "could not be written (File exists)" in flaw


def test_pages_are_named_by_day_and_by_what_a_run_was_restricted_to() -> None:
    assert name_page(make_night(found())) == "search-2026-03-31.html"
    scope = name_scope("breakout", ["BTC/USDT", "SOL/USDT"])
    assert name_page(make_night(found(), scope=scope)) == "search-2026-03-31-breakout-btc-usdt-sol-usdt.html"
    assert name_scope(None, None) == ""


def test_trades_are_shown_where_it_did_best_and_where_worst() -> None:
    first, second = found().symbols
    low, high = replace(first, symbol="LOW", total_return=-0.2), replace(second, symbol="HIGH", total_return=0.3)
    middle = replace(first, symbol="MIDDLE", total_return=0.0)
    assert choose_examples(replace(found(), symbols=(low, high, middle))) == ["HIGH", "LOW"]
    assert choose_examples(replace(found(), symbols=(middle,))) == ["MIDDLE"]
