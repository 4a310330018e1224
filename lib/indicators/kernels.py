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

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lib.indicators import series_kernels as series
from lib.indicators import window_kernels as windows
from lib.indicators.compiling import Floats, compiled
from lib.indicators.filling import fill_parts, make_room
from lib.indicators.names import COLUMNS
from lib.market.matrix import FloatMatrix

Places = NDArray[np.int64]

ABSURD = 1e100


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
    # The outputs of a series lie side by side, so that memory that is new is still in the cache when it is filled.
    out = make_room(shape[0], outputs, shape[1])
    fill_parts(lambda begin, end: kernel(*inputs, out, begin, end, *parameters), *shape)
    return [out[:, output] for output in range(outputs)]


@compiled
def _is_whole(values: Floats) -> bool:
    """Return whether nothing is missing; without a way out of the loop, so that it is vectorised."""
    missing = 0
    for bar in range(values.shape[0]):
        missing += not abs(values[bar]) < ABSURD
    return missing == 0


@compiled
def _gather(values: Floats, dense: Floats, places: Places) -> Floats:
    """Return the values that are there: those given, or from the front of `dense`, then with their bars in `places`."""
    if _is_whole(values):
        return values
    count = 0
    for bar in range(values.shape[0]):
        if abs(values[bar]) < ABSURD:
            dense[count] = values[bar]
            places[count] = bar
            count += 1
    return dense[:count]


@compiled
def _gather_candles(
    high: Floats, low: Floats, close: Floats, dense: Floats, places: Places
) -> tuple[Floats, Floats, Floats]:
    """Return the same of the candles that are wholly there."""
    if _is_whole(high) and _is_whole(low) and _is_whole(close):
        return high, low, close
    count = 0
    for bar in range(close.shape[0]):
        if abs(high[bar]) < ABSURD and abs(low[bar]) < ABSURD and abs(close[bar]) < ABSURD:
            dense[0, count] = high[bar]
            dense[1, count] = low[bar]
            dense[2, count] = close[bar]
            places[count] = bar
            count += 1
    return dense[0, :count], dense[1, :count], dense[2, :count]


@compiled
def _choose(out: Floats, room: Floats, count: int) -> Floats:
    """Return where to write what is found: at once to its bars, unless some are missing."""
    return out if count == out.shape[1] else room


@compiled
def _place(found: Floats, out: Floats, places: Places, count: int) -> None:
    """Write the first `count` values of each output to their bars, and NaN between them, where it was not done."""
    if count == out.shape[1]:
        return
    for output in range(out.shape[0]):
        windows.blank(out[output], out.shape[1])
        for index in range(count):
            out[output, places[index]] = found[output, index]


@compiled
def _sma(values: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    bars = values.shape[1]
    dense, places, spare, room = np.empty(bars), np.empty(bars, np.int64), np.empty((1, bars)), np.empty((2, bars))
    for row in range(begin, end):
        x = _gather(values[row], dense, places)
        found = _choose(out[row], spare, len(x))
        windows.fill_means(x, (period,), (found[0, : len(x)],), room)
        _place(found, out[row], places, len(x))


@compiled
def _ema(values: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    bars = values.shape[1]
    dense, places, spare = np.empty(bars), np.empty(bars, np.int64), np.empty((1, bars))
    for row in range(begin, end):
        x = _gather(values[row], dense, places)
        found = _choose(out[row], spare, len(x))
        series.fill_ema(x, 0, period, found[0, : len(x)])
        _place(found, out[row], places, len(x))


@compiled
def _rsi(values: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    bars = values.shape[1]
    dense, places, spare = np.empty(bars), np.empty(bars, np.int64), np.empty((1, bars))
    for row in range(begin, end):
        x = _gather(values[row], dense, places)
        found = _choose(out[row], spare, len(x))
        series.fill_rsi(x, period, found[0, : len(x)])
        _place(found, out[row], places, len(x))


@compiled
def _extreme(values: Floats, out: Floats, begin: int, end: int, period: int, sign: float) -> None:
    bars = values.shape[1]
    dense, places, spare = np.empty(bars), np.empty(bars, np.int64), np.empty((1, bars))
    for row in range(begin, end):
        x = _gather(values[row], dense, places)
        found = _choose(out[row], spare, len(x))
        windows.fill_extreme(x, period, sign, found[0, : len(x)])
        _place(found, out[row], places, len(x))


@compiled
def _macd(values: Floats, out: Floats, begin: int, end: int, fast: int, slow: int, signal: int) -> None:
    bars = values.shape[1]
    dense, places, spare, mean = np.empty(bars), np.empty(bars, np.int64), np.empty((3, bars)), np.empty(bars)
    for row in range(begin, end):
        x = _gather(values[row], dense, places)
        found, count = _choose(out[row], spare, len(x)), len(x)
        line, smoothed, histogram = found[0, :count], found[1, :count], found[2, :count]
        series.fill_ema(x, 0, slow, mean[:count])
        series.fill_macd(x, (fast, slow, signal), mean[:count], line, smoothed, histogram)
        _place(found, out[row], places, count)


@compiled
def _bollinger(values: Floats, out: Floats, begin: int, end: int, period: int, deviations: float) -> None:
    bars = values.shape[1]
    dense, places, spare, room = np.empty(bars), np.empty(bars, np.int64), np.empty((3, bars)), np.empty((2, bars))
    for row in range(begin, end):
        x = _gather(values[row], dense, places)
        found, count = _choose(out[row], spare, len(x)), len(x)
        lower, middle, upper = found[0, :count], found[1, :count], found[2, :count]
        windows.fill_means(x, (period,), (middle,), room)
        windows.fill_bands(x, middle, period, deviations, lower, upper)
        _place(found, out[row], places, count)


@compiled
def _atr(high: Floats, low: Floats, close: Floats, out: Floats, begin: int, end: int, period: int) -> None:
    bars = close.shape[1]
    dense, places, spare, ranges = np.empty((3, bars)), np.empty(bars, np.int64), np.empty((1, bars)), np.empty(bars)
    for row in range(begin, end):
        highs, lows, closes = _gather_candles(high[row], low[row], close[row], dense, places)
        found, count = _choose(out[row], spare, len(closes)), len(closes)
        series.fill_atr(highs, lows, closes, period, ranges, found[0, :count])
        _place(found, out[row], places, count)


@compiled
def _standard(high: Floats, low: Floats, close: Floats, out: Floats, begin: int, end: int) -> None:
    bars = close.shape[1]
    dense, places = np.empty((3, bars)), np.empty(bars, np.int64)
    spare, room = np.empty((out.shape[1], bars)), np.empty((2, bars))
    for row in range(begin, end):
        highs, lows, closes = _gather_candles(high[row], low[row], close[row], dense, places)
        found, count = _choose(out[row], spare, len(closes)), len(closes)
        series.fill_standard(highs, lows, closes, room, found)
        _place(found, out[row], places, count)
