"""Kernels: by hand, and by properties that hold for any series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lib.indicators import kernels
from lib.indicators.names import COLUMNS
from lib.market.matrix import FloatMatrix
from tests.indicators.examples import walk

NAN = np.nan
Compute = Callable[[FloatMatrix, FloatMatrix, FloatMatrix], tuple[FloatMatrix, ...]]
ALL: dict[str, Compute] = {
    "sma": lambda high, low, close: (kernels.sma(close, 5),),
    "ema": lambda high, low, close: (kernels.ema(close, 5),),
    "rsi": lambda high, low, close: (kernels.rsi(close, 5),),
    "macd": lambda high, low, close: kernels.macd(close, 3, 6, 4),
    "bollinger": lambda high, low, close: kernels.bollinger(close, 5, 2.0),
    "atr": lambda high, low, close: (kernels.atr(high, low, close, 5),),
    "highest": lambda high, low, close: (kernels.highest(high, 5),),
    "lowest": lambda high, low, close: (kernels.lowest(low, 5),),
    "standard": lambda high, low, close: tuple(kernels.standard(high, low, close).values()),
}
EACH = pytest.mark.parametrize("compute", ALL.values(), ids=ALL.keys())


def row(*values: float) -> FloatMatrix:
    return np.array([values], dtype=np.float64)


def test_sma_by_hand() -> None:
    np.testing.assert_allclose(kernels.sma(row(1, 2, 6, 4), 3), row(NAN, NAN, 3, 4))


def test_ema_by_hand_begins_with_the_plain_mean() -> None:
    # Period 3: weight 1/2. The mean of 1, 2, 6 is 3; then (3 + 4) / 2, (3.5 + 8) / 2.
    np.testing.assert_allclose(kernels.ema(row(1, 2, 6, 4, 8), 3), row(NAN, NAN, 3, 3.5, 5.75))


def test_rsi_by_hand() -> None:
    # Period 2: moves +1, +1: gains 1, losses 0. Then -2: gains 1/2, losses 1. Then +1: gains 3/4, losses 1/2.
    np.testing.assert_allclose(kernels.rsi(row(1, 2, 3, 1, 2), 2), row(NAN, NAN, 100, 100 / 3, 60))


def test_macd_by_hand_begins_both_means_at_the_same_bar() -> None:
    # Fast 1 follows the close; slow 3 is 3, 3.5, 5.75 from the third bar; signal 2 begins with their mean.
    line, signal, histogram = kernels.macd(row(1, 2, 6, 4, 8), 1, 3, 2)
    np.testing.assert_allclose(line, row(NAN, NAN, 3, 0.5, 2.25))
    np.testing.assert_allclose(signal, row(NAN, NAN, NAN, 1.75, 1.75 + 2 / 3 * 0.5))
    np.testing.assert_allclose(histogram, line - signal)


def test_bollinger_by_hand_takes_the_population_deviation() -> None:
    lower, middle, upper = kernels.bollinger(row(1, 3, 5), 2, 2.0)
    np.testing.assert_allclose([lower[0], middle[0], upper[0]], [[NAN, 0, 2], [NAN, 2, 4], [NAN, 4, 6]])


def test_atr_by_hand_counts_the_jump_from_the_close_before() -> None:
    # True ranges: 4 to 3 (the first has no close before); 9 - 5 = 4 by its jump; 7 - 5 = 2.
    high, low, close = row(5, 6, 9, 7), row(3, 4, 8, 5), row(4, 5, 8, 6)
    np.testing.assert_allclose(kernels.atr(high, low, close, 2), row(NAN, NAN, 3, (3 + 3) / 2))


def test_highest_and_lowest_include_the_present_bar() -> None:
    np.testing.assert_allclose(kernels.highest(row(1, 3, 2, 1), 2), row(NAN, 3, 3, 2))
    np.testing.assert_allclose(kernels.lowest(row(1, 3, 2, 1), 2), row(NAN, 1, 2, 1))


def test_the_standard_set_is_the_single_indicators_with_the_standard_periods() -> None:
    high, low, close = walk(3, 400)
    close[1, 50:60] = NAN
    macd, bands = kernels.macd(close, 12, 26, 9), kernels.bollinger(close, 20, 2.0)
    singles = (
        kernels.rsi(close, 14),
        *macd,
        *bands,
        kernels.atr(high, low, close, 14),
        *(kernels.sma(close, period) for period in (20, 50, 200)),
        *(kernels.ema(close, period) for period in (12, 26)),
    )
    for name, expected in zip(COLUMNS, singles, strict=True):
        if name != "atr_14":  # a candle whose close is missing is wholly missing for the set
            np.testing.assert_array_equal(kernels.standard(high, low, close)[name], expected, err_msg=name)


@pytest.mark.parametrize("price", [100.0, 1e-8, 6e4, 0.1])
def test_a_flat_series_is_neutral_and_has_no_width(price: float) -> None:
    flat = np.full((1, 300), price)
    found = kernels.standard(flat, flat, flat)
    assert set(found["rsi_14"][0, 14:]) == {50.0}
    for name in ("atr_14", "macd", "macd_signal", "macd_histogram"):
        assert np.nanmax(np.abs(found[name])) <= 1e-14 * price
    for name in ("bollinger_lower", "bollinger_upper", "sma_200", "ema_26"):
        np.testing.assert_allclose(found[name][0, 199:], price, rtol=1e-13)


def test_a_series_that_becomes_flat_becomes_neutral() -> None:
    close = np.concatenate([np.linspace(90, 100, 50), np.full(300, 100.0)])[np.newaxis]
    found = kernels.rsi(close, 14)[0]
    assert found[60] == 100.0
    assert found[-1] == 50.0


def test_a_series_shorter_than_the_warm_up_is_nan_throughout() -> None:
    for bars in (0, 1, 11):
        high, low, close = walk(2, bars)
        for name, values in kernels.standard(high, low, close).items():
            assert values.shape == (2, bars)
            assert np.all(np.isnan(values)), name


def test_the_warm_up_ends_where_it_is_said_to() -> None:
    first = {name: int(np.argmin(np.isnan(values[0]))) for name, values in kernels.standard(*walk(1, 300)).items()}
    assert first == {
        "rsi_14": 14,
        "macd": 25,
        "macd_signal": 33,
        "macd_histogram": 33,
        "bollinger_lower": 19,
        "bollinger_middle": 19,
        "bollinger_upper": 19,
        "atr_14": 14,
        "sma_20": 19,
        "sma_50": 49,
        "sma_200": 199,
        "ema_12": 11,
        "ema_26": 25,
    }


@pytest.mark.parametrize("tick", [NAN, np.inf, -np.inf, 1e308, 1e150])
@EACH
def test_a_tick_that_cannot_be_is_passed_over(compute: Compute, tick: float) -> None:
    high, low, close = walk(1, 300)
    without = compute(*(np.delete(matrix, 100, axis=1) for matrix in (high, low, close)))
    for matrix in (high, low, close):
        matrix[0, 100] = tick
    for found, expected in zip(compute(high, low, close), without, strict=True):
        assert np.isnan(found[0, 100])
        np.testing.assert_array_equal(np.delete(found, 100, axis=1), expected)


@pytest.mark.parametrize("tick", [1e12, 1e-12])
def test_a_bad_tick_that_could_be_is_gone_when_the_window_has_passed_or_it_has_faded(tick: float) -> None:
    high, low, close = walk(1, 1500)
    clean = kernels.standard(high, low, close)
    for matrix in (high, low, close):
        matrix[0, 100] *= tick
    poisoned = kernels.standard(high, low, close)
    windows = {"bollinger_lower": 20, "bollinger_middle": 20, "bollinger_upper": 20}
    windows |= {"sma_20": 20, "sma_50": 50, "sma_200": 200}
    for name in COLUMNS:
        if name in windows:
            after = 100 + windows[name]
            np.testing.assert_array_equal(poisoned[name][:, after:], clean[name][:, after:], err_msg=name)
        else:
            np.testing.assert_allclose(poisoned[name][:, 1100:], clean[name][:, 1100:], rtol=1e-9, atol=1e-9)


def test_many_series_in_threads_are_each_what_it_is_alone() -> None:
    high, low, close = walk(700, 200)
    close[3, 10:20] = NAN
    together = kernels.standard(high, low, close)
    for symbol in (0, 3, 349, 350, 699):
        one = slice(symbol, symbol + 1)
        for name, alone in kernels.standard(high[one], low[one], close[one]).items():
            np.testing.assert_array_equal(together[name][one], alone, err_msg=name)


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        kernels.sma(row(1, 2), 0)
    with pytest.raises(ValueError, match="below the slow"):
        kernels.macd(row(1, 2), 26, 12, 9)
    with pytest.raises(ValueError, match="one shape"):
        kernels.atr(row(1, 2), row(1, 2), row(1), 14)
    with pytest.raises(ValueError, match="one shape"):
        kernels.sma(np.array([1.0, 2.0]), 2)


PRICES = st.floats(min_value=1e-6, max_value=1e6) | st.just(NAN) | st.sampled_from([1.0, 2.0])
SERIES = arrays(np.float64, st.tuples(st.just(2), st.integers(0, 60)), elements=PRICES)
PROPERTY = settings(max_examples=60)


@EACH
@PROPERTY
@given(close=SERIES, cut=st.integers(0, 60))
def test_the_values_of_a_prefix_are_the_prefix_of_the_values(compute: Compute, close: FloatMatrix, cut: int) -> None:
    whole = compute(close * 1.01, close * 0.99, close)
    begun = compute(close[:, :cut] * 1.01, close[:, :cut] * 0.99, close[:, :cut])
    for values, prefix in zip(whole, begun, strict=True):
        np.testing.assert_array_equal(values[:, :cut], prefix)


@EACH
@PROPERTY
@given(close=SERIES)
def test_gaps_are_passed_over_as_if_the_candles_stood_side_by_side(compute: Compute, close: FloatMatrix) -> None:
    found = compute(close * 1.01, close * 0.99, close)
    for symbol in range(close.shape[0]):
        there = ~np.isnan(close[symbol])
        dense = close[symbol, there][np.newaxis]
        for values, alone in zip(found, compute(dense * 1.01, dense * 0.99, dense), strict=True):
            np.testing.assert_array_equal(values[symbol, there], alone[0])
            assert np.all(np.isnan(values[symbol, ~there]))


@PROPERTY
@given(close=SERIES)
def test_values_stay_where_they_can_be(close: FloatMatrix) -> None:
    rsi = kernels.rsi(close, 5)
    assert np.all(np.isnan(rsi) | ((rsi >= 0) & (rsi <= 100)))
    lower, middle, upper = kernels.bollinger(close, 5, 2.0)
    there = ~np.isnan(middle)
    assert np.all((lower <= middle)[there] & (middle <= upper)[there])
    assert np.all(np.nan_to_num(kernels.atr(close * 1.01, close * 0.99, close, 5)) >= 0)
    assert np.array_equal(np.isnan(kernels.highest(close, 5)), np.isnan(kernels.sma(close, 5)))
