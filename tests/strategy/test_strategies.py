"""All strategies: nothing looks ahead, nothing needed is unknown, and what is told is what was decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lib.indicators.shelf import IndicatorShelf
from lib.strategy.registry import STRATEGIES, calc_code_version
from lib.strategy.strategy import Decisions, Strategy
from tests.strategy.worlds import cut, make_candles, make_walk

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
MATRICES = ("entries", "exits", "score", "stop_distance", "target_distance")


def parameters_of(strategy: type[Strategy]) -> st.SearchStrategy[Strategy]:
    """Any point of the search space."""
    space = {name: st.sampled_from(values) for name, values in strategy.calc_search_space().items()}
    return st.fixed_dictionaries(space).map(strategy.model_validate)


def decide(strategy: Strategy, *arguments: Any, **named: Any) -> Decisions:
    return strategy.decide(IndicatorShelf(make_walk(*arguments, **named)))


@every_strategy
@settings(max_examples=15)
@given(data=st.data(), seed=st.integers(0, 10**6), end=st.integers(1, 599), gaps=st.sampled_from([0.0, 0.1]))
def test_results_on_a_prefix_are_the_prefix_of_the_results(
    strategy: type[Strategy], data: st.DataObject, seed: int, end: int, gaps: float
) -> None:
    chosen = data.draw(parameters_of(strategy))
    candles = make_walk(3, 600, seed=seed, gaps=gaps)
    whole = chosen.decide(IndicatorShelf(candles))
    part = chosen.decide(IndicatorShelf(cut(candles, 0, end)))
    for name in MATRICES:
        np.testing.assert_array_equal(getattr(whole, name)[:, :end], getattr(part, name), err_msg=name)


@every_strategy
@settings(max_examples=15)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_as_many_candles_as_the_lookback_decide_like_the_whole_history(
    strategy: type[Strategy], data: st.DataObject, seed: int
) -> None:
    chosen = data.draw(parameters_of(strategy))
    candles = make_walk(3, 2000, seed=seed)
    whole = chosen.decide(IndicatorShelf(candles))
    window = chosen.decide(IndicatorShelf(cut(candles, 2000 - chosen.lookback - 12, 2000)))
    assert (whole.entries[:, -1] == window.entries[:, -1]).all()
    assert (whole.exits[:, -1] == window.exits[:, -1]).all()
    for name in ("score", "stop_distance", "target_distance"):
        np.testing.assert_allclose(getattr(whole, name)[:, -1], getattr(window, name)[:, -1], rtol=1e-6, atol=1e-9)


@every_strategy
def test_a_long_history_has_entries_and_exits(strategy: type[Strategy]) -> None:
    decisions = decide(strategy(), 4, 3000)
    assert decisions.entries.sum() > 10
    assert decisions.exits.sum() > 10
    assert not (decisions.entries & decisions.exits).any()
    assert (decisions.score >= 0).all()
    assert (decisions.score <= 1).all()


@every_strategy
def test_an_entry_has_its_stop_below_the_price_and_its_target_above(strategy: type[Strategy]) -> None:
    chosen = strategy()
    candles = make_walk(4, 3000)
    decisions = chosen.decide(IndicatorShelf(candles))
    stop, target = (getattr(decisions, name)[decisions.entries] for name in ("stop_distance", "target_distance"))
    assert (stop > 0).all()
    assert (stop < candles.close[decisions.entries]).all()
    np.testing.assert_allclose(target / stop, chosen.target_atr / chosen.stop_atr)


@every_strategy
def test_there_is_nothing_where_there_is_no_candle(strategy: type[Strategy]) -> None:
    candles = make_walk(6, 1500, gaps=0.2)
    decisions = strategy().decide(IndicatorShelf(candles))
    missing = np.isnan(candles.close)
    assert decisions.entries.any()
    assert not decisions.entries[missing].any()
    assert not decisions.exits[missing].any()


@every_strategy
@pytest.mark.parametrize("bars", [1, 2, 30])
def test_a_series_shorter_than_the_warm_up_has_no_entry_and_says_why(strategy: type[Strategy], bars: int) -> None:
    decisions = decide(strategy(), 2, bars)
    if bars < 30:
        assert not decisions.entries.any()
        assert any("not known yet" in reason for reason in decisions.explain(0, -1))


@every_strategy
def test_a_flat_series_has_no_entry(strategy: type[Strategy]) -> None:
    decisions = strategy().decide(IndicatorShelf(make_candles(np.full((2, 600), 5.0))))
    assert not decisions.entries.any()
    assert decisions.explain(0, -1)


@every_strategy
def test_a_symbol_without_any_candle_harms_no_other(strategy: type[Strategy]) -> None:
    candles = make_walk(3, 800)
    empty = make_candles(np.vstack([candles.close, np.full((1, 800), np.nan)]), spread=0.003)
    alone = strategy().decide(IndicatorShelf(make_candles(candles.close, spread=0.003)))
    beside = strategy().decide(IndicatorShelf(empty))
    np.testing.assert_array_equal(beside.entries[:3], alone.entries)
    assert not beside.entries[3].any()
    assert beside.explain(3, -1)


@every_strategy
def test_an_entry_is_told_as_holding_and_its_neighbour_as_not(strategy: type[Strategy]) -> None:
    decisions = decide(strategy(), 4, 2000)
    row, bar = np.argwhere(decisions.entries)[-1]
    reasons = decisions.explain(row, bar)
    assert len(reasons) == len(decisions.entry_conditions)
    assert not any(" not " in reason for reason in reasons)
    assert " is not " in decisions.explain(row, bar - 1)[0]


@every_strategy
def test_an_entry_begins_once_and_not_again_while_it_holds(strategy: type[Strategy]) -> None:
    decisions = decide(strategy(), 4, 3000)
    assert not (decisions.entries[:, 1:] & decisions.entries[:, :-1]).any()


@every_strategy
def test_the_defaults_are_a_point_of_the_search_space_and_bounds_are_kept(strategy: type[Strategy]) -> None:
    space = strategy.calc_search_space()
    for name, value in strategy().model_dump().items():
        assert value in space[name]
        assert len(space[name]) > 1
        with pytest.raises(ValidationError):
            strategy.model_validate({name: max(space[name]) * 1.01 + 1})
    with pytest.raises(ValidationError):
        strategy.model_validate({"no_such_parameter": 1})


@every_strategy
def test_a_strategy_reads_back_what_is_stored_of_it(strategy: type[Strategy]) -> None:
    assert strategy.model_validate(strategy().model_dump(mode="json")) == strategy()
    assert len(calc_code_version(strategy)) == 12
