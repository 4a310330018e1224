"""The measures, by numbers worked out by hand and against an independent library."""

from __future__ import annotations

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib.performance.measures import (
    calc_calmar,
    calc_sharpe,
    calc_sortino,
    calc_total_return,
    calc_volatility,
    calc_yearly_growth,
    find_decline,
    measure,
)

daily_returns = st.lists(st.floats(-0.5, 0.5).filter(lambda value: abs(value) > 1e-6), min_size=10, max_size=60)


def walk(seed: int, days: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0.001, 0.03, days)


@pytest.mark.parametrize(("seed", "days"), [(1, 7), (2, 30), (3, 90), (4, 365), (5, 1000)])
def test_every_measure_is_what_an_independent_library_says(seed: int, days: int) -> None:
    returns = walk(seed, days)
    ours = measure(returns)
    assert ours.decline is not None
    year = {"annualization": 365}
    expected = {
        "total_return": empyrical.cum_returns_final(returns),
        "volatility": empyrical.annual_volatility(returns, **year),
        "sharpe": empyrical.sharpe_ratio(returns, **year),
        "sortino": empyrical.sortino_ratio(returns, **year),
        "calmar": empyrical.calmar_ratio(returns, **year),
    }
    assert {name: getattr(ours, name) for name in expected} == pytest.approx(expected, rel=1e-12)
    assert ours.decline.depth == pytest.approx(empyrical.max_drawdown(returns), rel=1e-12)
    assert calc_yearly_growth(returns) == pytest.approx(empyrical.cagr(returns, **year), rel=1e-12)


def test_the_ratios_of_three_days_are_those_worked_out_by_hand() -> None:
    returns = [0.01, 0.03, -0.01]  # mean 0.01, deviation 0.02, downside sqrt(0.0001 / 3)
    assert calc_sharpe(returns) == pytest.approx(0.5 * 365**0.5)
    assert calc_volatility(returns) == pytest.approx(0.02 * 365**0.5)
    assert calc_sortino(returns) == pytest.approx(3**0.5 * 365**0.5)
    assert calc_total_return(returns) == pytest.approx(1.01 * 1.03 * 0.99 - 1)


def test_a_year_may_have_other_periods_than_days() -> None:
    returns = [0.01, 0.03, -0.01]
    assert calc_sharpe(returns, 365 * 24) == pytest.approx(0.5 * (365 * 24) ** 0.5)
    assert measure(returns, periods_a_year=12).volatility == pytest.approx(0.02 * 12**0.5)


@pytest.mark.parametrize(
    ("returns", "depth", "peak", "trough", "end", "length"),
    [
        ([0.1, -0.2, 0.0, 0.3], -0.2, 1, 2, 4, 3),
        ([-0.1, -0.1, 0.05], -0.19, 0, 2, None, 3),  # from the beginning, not over
        ([0.1, 0.1], 0, 0, 0, 0, 0),
        ([-0.5, 1.0, -0.6], -0.6, 2, 3, None, 1),  # back at the peak, from where the deepest fall begins
        ([-1.0, 0.0], -1, 0, 1, None, 2),
    ],
)
def test_the_deepest_fall_has_its_depth_and_its_length(
    returns: list[float], depth: float, peak: int, trough: int, end: int | None, length: int
) -> None:
    found = find_decline(returns)
    assert found.depth == pytest.approx(depth)
    assert (found.peak, found.trough, found.end, found.length) == (peak, trough, end, length)


def test_what_is_extrapolated_to_a_year_takes_enough_days() -> None:
    short = measure(walk(1, 6), least=7)
    assert (short.volatility, short.sharpe, short.sortino, short.calmar) == (None, None, None, None)
    assert short.total_return is not None and short.average_return is not None and short.decline is not None
    assert measure(walk(1, 7), least=7).sharpe is not None


def test_without_any_return_there_is_no_measure() -> None:
    none = measure([])
    assert {value for name, value in vars(none).items() if name != "periods"} == {None}


def test_flat_returns_have_no_ratio_and_no_infinity() -> None:
    flat, rising = measure([0.0] * 30), measure([0.001] * 30)
    assert (flat.sharpe, flat.sortino, flat.calmar, flat.volatility) == (None, None, None, 0)
    assert (rising.sharpe, rising.sortino, rising.calmar) == (None, None, None)
    assert calc_calmar([1000.0, -0.1]) is None  # a year of it is more than a number can say


@pytest.mark.parametrize("returns", [[0.1, float("nan")], [float("inf")], [-1.5]])
def test_impossible_returns_are_refused(returns: list[float]) -> None:
    with pytest.raises(ValueError, match="at least -1"):
        measure(returns)


@given(daily_returns)
def test_a_fall_is_never_above_zero_nor_below_a_total_loss_and_lasts_as_long_as_it_does(returns: list[float]) -> None:
    found = find_decline(returns)
    assert -1 <= found.depth <= 0
    assert 0 <= found.peak <= found.trough <= len(returns)
    assert found.trough - found.peak <= found.length <= len(returns) - found.peak


@given(daily_returns, st.floats(0.1, 10))
def test_sharpe_and_sortino_do_not_depend_on_how_much_is_invested(returns: list[float], factor: float) -> None:
    scaled = [factor * one for one in returns]
    for ratio in (calc_sharpe, calc_sortino):
        before, after = ratio(returns), ratio(scaled)
        assert (before is None) == (after is None)
        assert after == pytest.approx(before, rel=1e-6)
