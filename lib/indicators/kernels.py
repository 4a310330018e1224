"""Indicators of many series at once: float64 matrices of the shape (symbols, bars), time rising to the right.

What holds for all of them:

* A bar whose input is missing is NaN in the answer, and is otherwise passed over: windows hold the last `period`
  candles that are there, and smoothing carries on with the next one. Missing is what is NaN, infinite, or beyond
  `ABSURD`, where squares would overflow.
* Bars before an indicator is defined (the warm-up) are NaN, never zero. Lengths below are counted in candles.
* The answer for a bar depends on nothing to its right: the values of a prefix are the prefix of the values.
* A bad tick is gone when the window has passed it, or fades with the smoothing; nothing accumulates.
* A matrix is split among the processors only where it is large; for few symbols there is no thread.

Smoothing begins as in TA-Lib, with the plain mean of the first `period` values, so that the values are TA-Lib's from
the first one on. Sources: J. W. Wilder, "New Concepts in Technical Trading Systems" (1978), for RSI and ATR; G. Appel
for MACD; J. Bollinger for the bands; the beginnings as in TA-Lib 0.6's ta_EMA.c, ta_MACD.c, ta_RSI.c and ta_ATR.c.

Raises ValueError in all of them: a period below 1, or inputs of different shapes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lib.indicators import series_kernels as series
from lib.indicators.names import COLUMNS
from lib.indicators.series_kernels import Floats, compiled
from lib.market.matrix import FloatMatrix

Places = NDArray[np.int64]

ABSURD = 1e100
LARGE = 100_000  # cells from which threads pay


def sma(values: ArrayLike, period: int) -> FloatMatrix:
    """Return the mean of the last `period`; warm-up `period` - 1."""
    return _run(_sma, [values], 1, period)[0]


def ema(values: ArrayLike, period: int) -> FloatMatrix:
    """Return the exponential mean with the weight 2 / (period + 1); warm-up `period` - 1."""
    return _run(_ema, [values], 1, period)[0]


def rsi(close: ArrayLike, period: int) -> FloatMatrix:
    """Return Wilder's relative strength index, 0 to 100; warm-up `period`.

    100 x average gain / (average gain + average loss), both with the weight 1 / period. Where nothing moves (both
    averages together below 1e-10 of the price, some 180 bars after the last move) it is 50: neutral, where `ta` says
    100 and TA-Lib 0.
    """
    return _run(_rsi, [close], 1, period)[0]


def macd(close: ArrayLike, fast: int, slow: int, signal: int) -> tuple[FloatMatrix, FloatMatrix, FloatMatrix]:
    """Return the line (fast less slow mean), its exponential mean, and their difference.

    Warm-up `slow` - 1 for the line and `signal` - 1 more for the others. As in TA-Lib both means begin at the same bar,
    so that in the first hundred bars the line is not the difference of two `ema`.

    Raises:
        ValueError: `fast` is not below `slow`.
    """
    if fast >= slow:
        raise ValueError(f"Expected a fast period below the slow one, was {fast} and {slow}.")
    line, mean, histogram = _run(_macd, [close], 3, fast, slow, signal)
    return line, mean, histogram


def bollinger(close: ArrayLike, period: int, deviations: float) -> tuple[FloatMatrix, FloatMatrix, FloatMatrix]:
    """Return the mean less, without, and plus `deviations` population deviations; warm-up `period` - 1."""
    lower, middle, upper = _run(_bollinger, [close], 3, period, float(deviations))
    return lower, middle, upper


def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, period: int) -> FloatMatrix:
    """Return Wilder's average true range in quote, with the weight 1 / period; warm-up `period`.

    The true range reaches from the lower of low and the close before to the higher of high and the close before.
    """
    return _run(_atr, [high, low, close], 1, period)[0]


def highest(values: ArrayLike, period: int) -> FloatMatrix:
    """Return the largest of the last `period`, the present bar included; warm-up `period` - 1."""
    return _run(_extreme, [values], 1, period, 1.0)[0]


def lowest(values: ArrayLike, period: int) -> FloatMatrix:
    """Return the smallest of the last `period`, the present bar included; warm-up `period` - 1."""
    return _run(_extreme, [values], 1, period, -1.0)[0]


def standard(high: ArrayLike, low: ArrayLike, close: ArrayLike) -> dict[str, FloatMatrix]:
    """Return the stored set by its columns' names, each as the function above gives it, in a third of their time."""
    found = _run(_standard, [high, low, close], len(COLUMNS) - 1)
    # The middle of the bands is the mean: one matrix under both names.
    return dict(zip(COLUMNS, [*found[:5], found[7], *found[5:]], strict=True))


def _run(
    kernel: Callable[..., None], given: Sequence[ArrayLike], outputs: int, *parameters: float
) -> list[FloatMatrix]:
    """Return the outputs of a kernel, filled by several threads where that pays."""
    # One memory layout, so that a kernel is compiled once: a matrix that is read-only would be another type.
    inputs = [np.require(matrix, np.float64, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"]) for matrix in given]
    shape = inputs[0].shape
    if len(shape) != 2 or any(matrix.shape != shape for matrix in inputs):
        raise ValueError(f"Expected matrices (symbols, bars) of one shape, was {[m.shape for m in inputs]}.")
    if any(isinstance(parameter, int) and parameter < 1 for parameter in parameters):
        raise ValueError(f"Expected periods of 1 or more, was {parameters}.")
    out = np.empty((outputs, *shape))
    threads = min(os.cpu_count() or 1, shape[0]) if out[0].size >= LARGE else 1
    if threads == 1:
        kernel(*inputs, out, 0, shape[0], *parameters)
        return list(out)
    limits = np.linspace(0, shape[0], threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(kernel, *inputs, out, begin, end, *parameters) for begin, end in pairwise(limits)]
        for job in jobs:
            job.result()
    return list(out)


@compiled
def _gather(values: Floats, row: int, dense: Floats, places: Places) -> int:
    """Copy a row's values that are there to the front of `dense`; return how many."""
    count = 0
    for bar in range(values.shape[1]):
        if abs(values[row, bar]) < ABSURD:
            dense[count] = values[row, bar]
            places[count] = bar
            count += 1
    return count


@compiled
def _gather_candles(high: Floats, low: Floats, close: Floats, row: int, dense: Floats, places: Places) -> int:
    """Copy the candles that are wholly there to the front of `dense` (high, low, close); return how many."""
    count = 0
    for bar in range(close.shape[1]):
        if abs(high[row, bar]) < ABSURD and abs(low[row, bar]) < ABSURD and abs(close[row, bar]) < ABSURD:
            dense[0, count] = high[row, bar]
            dense[1, count] = low[row, bar]
            dense[2, count] = close[row, bar]
            places[count] = bar
            count += 1
    return count


@compiled
def _spread(out: Floats, row: int, places: Places, count: int) -> None:
    """Move the first `count` values of a row, in each output, to their bars, from the last on; NaN between them."""
    if count == out.shape[2]:
        return
    for output in range(out.shape[0]):
        target = out[output, row]
        end = target.shape[0]
        for index in range(count - 1, -1, -1):
            value = target[index]
            for bar in range(places[index] + 1, end):
                target[bar] = np.nan
            end = places[index]
            target[end] = value
        for bar in range(end):
            target[bar] = np.nan


@compiled
def _sma(values: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    bars = values.shape[1]
    dense, places, room = np.empty(bars), np.empty(bars, np.int64), np.empty((2, bars))
    for row in range(begin, end):
        count = _gather(values, row, dense, places)
        series.fill_means(dense[:count], (period,), (out[0, row, :count],), room)
        _spread(out, row, places, count)


@compiled
def _ema(values: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    dense, places = np.empty(values.shape[1]), np.empty(values.shape[1], np.int64)
    for row in range(begin, end):
        count = _gather(values, row, dense, places)
        series.fill_ema(dense[:count], 0, period, out[0, row, :count])
        _spread(out, row, places, count)


@compiled
def _rsi(values: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    dense, places = np.empty(values.shape[1]), np.empty(values.shape[1], np.int64)
    for row in range(begin, end):
        count = _gather(values, row, dense, places)
        series.fill_rsi(dense[:count], period, out[0, row, :count])
        _spread(out, row, places, count)


@compiled
def _extreme(values: Floats, out: Floats, begin: int, end: int, period: int, sign: float) -> None:
    dense, places = np.empty(values.shape[1]), np.empty(values.shape[1], np.int64)
    for row in range(begin, end):
        count = _gather(values, row, dense, places)
        series.fill_extreme(dense[:count], period, sign, out[0, row, :count])
        _spread(out, row, places, count)


@compiled
def _macd(values: Floats, out: Floats, begin: int, end: int, fast: int, slow: int, signal: int) -> None:
    bars = values.shape[1]
    dense, places, mean = np.empty(bars), np.empty(bars, np.int64), np.empty(bars)
    for row in range(begin, end):
        count = _gather(values, row, dense, places)
        x = dense[:count]
        series.fill_ema(x, 0, slow, mean[:count])
        line, smoothed, histogram = out[0, row, :count], out[1, row, :count], out[2, row, :count]
        series.fill_macd(x, fast, slow, signal, mean[:count], line, smoothed, histogram)
        _spread(out, row, places, count)


@compiled
def _bollinger(values: Floats, out: Floats, begin: int, end: int, period: int, deviations: float) -> None:
    bars = values.shape[1]
    dense, places, room = np.empty(bars), np.empty(bars, np.int64), np.empty((2, bars))
    for row in range(begin, end):
        count = _gather(values, row, dense, places)
        middle = out[1, row, :count]
        series.fill_means(dense[:count], (period,), (middle,), room)
        series.fill_bands(dense[:count], middle, period, deviations, out[0, row, :count], out[2, row, :count])
        _spread(out, row, places, count)


@compiled
def _atr(high: Floats, low: Floats, close: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    dense, places = np.empty((4, close.shape[1])), np.empty(close.shape[1], np.int64)
    for row in range(begin, end):
        count = _gather_candles(high, low, close, row, dense, places)
        high_low_close = dense[0, :count], dense[1, :count], dense[2, :count]
        series.fill_atr(*high_low_close, period, dense[3, :count], out[0, row, :count])
        _spread(out, row, places, count)


@compiled
def _standard(high: Floats, low: Floats, close: Floats, out: Floats, begin: int, end: int) -> None:
    """Outputs in the order of `COLUMNS`, without bollinger_middle."""
    bars = close.shape[1]
    dense, places, room = np.empty((4, bars)), np.empty(bars, np.int64), np.empty((2, bars))
    for row in range(begin, end):
        count = _gather_candles(high, low, close, row, dense, places)
        x, sma_20, slow = dense[2, :count], out[7, row, :count], out[11, row, :count]
        series.fill_rsi(x, 14, out[0, row, :count])
        series.fill_ema(x, 0, 12, out[10, row, :count])
        series.fill_ema(x, 0, 26, slow)
        series.fill_macd(x, 12, 26, 9, slow, out[1, row, :count], out[2, row, :count], out[3, row, :count])
        series.fill_means(x, (20, 50, 200), (sma_20, out[8, row, :count], out[9, row, :count]), room)
        series.fill_bands(x, sma_20, 20, 2.0, out[4, row, :count], out[5, row, :count])
        series.fill_atr(dense[0, :count], dense[1, :count], x, 14, dense[3, :count], out[6, row, :count])
        _spread(out, row, places, count)
