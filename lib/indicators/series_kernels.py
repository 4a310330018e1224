"""Indicators of one series without gaps, compiled.

Each writes `out[:n]` for `x[:n]`; `out[i]` uses nothing after `x[i]`, and is NaN during the warm-up. Window sums are
added up anew for each bar: a running sum would carry a bad tick's rounding error for ever, and would depend on where
the series begins. Their inner loops run over bars, so that they are vectorised.

`contract` lets the processor multiply and add in one step, which halves the wait of the recursions; it is the only
liberty taken with floating point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Compiled = TypeVar("Compiled", bound=Callable[..., Any])

TILE = 256  # bars at a time, so that a window's passes stay in the first cache
FLAT_SHARE = 1e-10  # of the price; average moves below it are what is left of moves some 180 bars ago
NEUTRAL_RSI = 50.0
STANDARD_BEGUN = 34  # bars after which every indicator of the standard set has begun


def name_cache() -> str:
    """Return the folder of compiled kernels, named after the sources of all of them.

    Numba compares only a kernel's own file with what it compiled: after a change of a formula that a kernel in another
    file calls, it would go on with the old one.
    """
    folder = Path(__file__).parent
    sources = b"".join((folder / name).read_bytes() for name in ("kernels.py", "series_kernels.py"))
    given: str = config.CACHE_DIR  # type: ignore[attr-defined]
    parent = Path(given or folder / "__pycache__")
    return str(parent / f"kernels-{hashlib.sha256(sources).hexdigest()[:12]}")


config.CACHE_DIR = name_cache()  # type: ignore[attr-defined]  # numba makes its settings at import


def compiled(function: Compiled) -> Compiled:
    """Compile at the first call, or take what an earlier process compiled; runs without the interpreter's lock."""
    compile_it: Any = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
    callable_as_before: Compiled = compile_it(function)
    return callable_as_before


@compiled
def blank(out: Floats, count: int) -> None:
    """Write NaN to the first `count`."""
    for i in range(min(count, out.shape[0])):
        out[i] = np.nan


@compiled
def copy(x: Floats, out: Floats) -> None:
    """Write `x`; a slice that is assigned takes six times as long, since it is not vectorised."""
    for i in range(out.shape[0]):
        out[i] = x[i]


@compiled
def double_sums(sums: Floats, width: int, wider: Floats) -> None:
    """From sums of `width` values up to each bar, write those of twice as many; NaN where they do not reach back."""
    blank(wider, width)
    bars = max(sums.shape[0] - width, 0)
    late, early, target = sums[sums.shape[0] - bars :], sums[:bars], wider[wider.shape[0] - bars :]
    for i in range(bars):
        target[i] = late[i] + early[i]


@compiled
def add_sums(out: Floats, sums: Floats, back: int) -> None:
    """Add to each bar the sum up to the bar `back` before it."""
    bars = max(out.shape[0] - back, 0)
    target, early = out[out.shape[0] - bars :], sums[:bars]
    for i in range(bars):
        target[i] += early[i]


@compiled
def fill_means(x: Floats, periods: tuple[int, ...], outs: tuple[Floats, ...], room: Floats) -> None:
    """Means of the last `period`, for each period.

    The sum of 50 values is that of 32, and of the 16 before them, and of the 2 before those; sums of 2, 4, 8 … come
    from each other by doubling. So there is nothing to subtract, a window's sum does not depend on where the series
    begins, and two hundred values cost ten additions a bar.

    Args:
        x: The values.
        periods: Which.
        outs: For each of them.
        room: For sums, shape (2, bars or more).
    """
    bars = x.shape[0]
    largest = 0
    for index in range(len(periods)):
        largest = max(largest, periods[index])
        for i in range(bars):
            outs[index][i] = 0.0
    width = 1
    now, spare = room[0, :bars], room[1, :bars]
    copy(x, now)
    while width <= largest:
        for index in range(len(periods)):
            if periods[index] & width:
                add_sums(outs[index], now, periods[index] & (width - 1))
        double_sums(now, width, spare)
        now, spare = spare, now
        width *= 2
    for index in range(len(periods)):
        share = 1.0 / periods[index]
        blank(outs[index], periods[index] - 1)
        for i in range(bars):
            outs[index][i] *= share


@compiled
def add_squares(out: Floats, x: Floats, mean: Floats, begin: int, period: int) -> None:
    """The same of squared distances from `mean[i]`."""
    bars = out.shape[0]
    for i in range(bars):
        out[i] = 0.0
    whole = period - period % 4
    for back in range(0, whole, 4):
        a, b = x[begin - back : begin - back + bars], x[begin - back - 1 : begin - back - 1 + bars]
        c, d = x[begin - back - 2 : begin - back - 2 + bars], x[begin - back - 3 : begin - back - 3 + bars]
        for i in range(bars):
            m = mean[i]
            out[i] += ((a[i] - m) ** 2 + (b[i] - m) ** 2) + ((c[i] - m) ** 2 + (d[i] - m) ** 2)
    for back in range(whole, period):
        a = x[begin - back : begin - back + bars]
        for i in range(bars):
            out[i] += (a[i] - mean[i]) ** 2


@compiled
def take_extreme(out: Floats, x: Floats, sign: float) -> None:
    """Let `x[i]` replace `out[i]` where it is larger (sign 1) or smaller (sign -1)."""
    for i in range(out.shape[0]):
        out[i] = x[i] if (x[i] - out[i]) * sign > 0 else out[i]


@compiled
def fill_bands(x: Floats, mean: Floats, period: int, deviations: float, lower: Floats, upper: Floats) -> None:
    """Mean less and plus `deviations` population deviations of the last `period`, taken around their mean."""
    blank(lower, period - 1)
    blank(upper, period - 1)
    scale = deviations / np.sqrt(float(period))
    for begin in range(period - 1, x.shape[0], TILE):
        end = min(begin + TILE, x.shape[0])
        low, middle, high = lower[begin:end], mean[begin:end], upper[begin:end]
        add_squares(high, x, middle, begin, period)
        for i in range(high.shape[0]):
            width = scale * np.sqrt(high[i])
            low[i] = middle[i] - width
            high[i] = middle[i] + width


@compiled
def fill_extreme(x: Floats, period: int, sign: float, out: Floats) -> None:
    """Largest (sign 1) or smallest (sign -1) of the last `period`."""
    blank(out, period - 1)
    for begin in range(period - 1, x.shape[0], TILE):
        end = min(begin + TILE, x.shape[0])
        part = out[begin:end]
        copy(x[begin:end], part)
        for back in range(1, period):
            take_extreme(part, x[begin - back : end - back], sign)


@compiled
def smooth(before: float, value: float, weight: float) -> float:
    """Return the mean that follows `before`."""
    return (1.0 - weight) * before + weight * value


@compiled
def fill_smoothed(x: Floats, begin: int, period: int, weight: float, out: Floats) -> None:
    """Smooth from the mean of the `period` values at `begin` on."""
    first = begin + period - 1
    blank(out, first)
    if x.shape[0] <= first:
        return
    smoothed = 0.0
    for i in range(begin, first + 1):
        smoothed += x[i]
    smoothed /= period
    out[first] = smoothed
    for i in range(first + 1, x.shape[0]):
        smoothed = smooth(smoothed, x[i], weight)
        out[i] = smoothed


@compiled
def fill_ema(x: Floats, begin: int, period: int, out: Floats) -> None:
    """`fill_smoothed` with the weight of an exponential mean."""
    fill_smoothed(x, begin, period, 2.0 / (period + 1.0), out)


@compiled
def to_rsi(gain: float, loss: float, price: float) -> float:
    """Return the index of average moves, which are neutral where they are next to nothing."""
    moves = gain + loss
    return 100.0 * (gain / moves) if moves > FLAT_SHARE * abs(price) else NEUTRAL_RSI


@compiled
def fill_rsi(x: Floats, period: int, out: Floats) -> tuple[float, float]:
    """Wilder's index of the moves from one value to the next; return the last average gain and loss."""
    blank(out, period)
    gain = loss = 0.0
    if x.shape[0] <= period:
        return gain, loss
    for i in range(1, period + 1):
        move = x[i] - x[i - 1]
        gain += max(move, 0.0)
        loss += max(-move, 0.0)
    gain /= period
    loss /= period
    out[period] = to_rsi(gain, loss, x[period])
    weight = 1.0 / period
    for i in range(period + 1, x.shape[0]):
        move = x[i] - x[i - 1]
        gain, loss = smooth(gain, max(move, 0.0), weight), smooth(loss, max(-move, 0.0), weight)
        out[i] = to_rsi(gain, loss, x[i])
    return gain, loss


@compiled
def to_range(high: float, low: float, before: float) -> float:
    """Return the true range of a bar, given the close before."""
    return max(high, before) - min(low, before)


@compiled
def fill_atr(high: Floats, low: Floats, close: Floats, period: int, ranges: Floats, out: Floats) -> None:
    """`ranges` is room for the true ranges."""
    for i in range(1, close.shape[0]):
        ranges[i] = to_range(high[i], low[i], close[i - 1])
    fill_smoothed(ranges[: close.shape[0]], 1, period, 1.0 / period, out)


@compiled
def fill_macd(
    x: Floats, periods: tuple[int, int, int], slow_ema: Floats, line: Floats, signal: Floats, histogram: Floats
) -> float:
    """Line from the bar `slow` - 1, signal `signal` - 1 bars later; return the last fast mean.

    Args:
        x: The values.
        periods: Fast, slow and signal.
        slow_ema: That of `x`.
        line: To fill, as are the others.
        signal: See above.
        histogram: See above.
    """
    fast, slow, smoothing = periods
    fill_ema(x, slow - fast, fast, line)
    last = line[-1] if x.shape[0] > 0 else np.nan
    for i in range(x.shape[0]):
        line[i] -= slow_ema[i]
    fill_ema(line, slow - 1, smoothing, signal)
    for i in range(x.shape[0]):
        histogram[i] = line[i] - signal[i]
    return last


@compiled
def fill_standard(high: Floats, low: Floats, close: Floats, room: Floats, out: Floats) -> None:
    """The standard set, as the functions above give it.

    Args:
        high: Of the candles that are there.
        low: As above.
        close: As above.
        room: Shape (2, bars or more).
        out: In the order of `COLUMNS` without bollinger_middle, shape (12, bars or more).
    """
    bars = close.shape[0]
    sma_20 = out[7, :bars]
    fill_means(close, (20, 50, 200), (sma_20, out[8, :bars], out[9, :bars]), room)
    fill_bands(close, sma_20, 20, 2.0, out[4, :bars], out[5, :bars])
    fill_standard_smoothed(high, low, close, room[0], out)


@compiled
def fill_standard_smoothed(high: Floats, low: Floats, close: Floats, room: Floats, out: Floats) -> None:
    """What smooths, of the standard set: each begins on its own, and then all go on together.

    A step waits for the one before it, so that six series of steps side by side take hardly longer than one.
    """
    bars = close.shape[0]
    begun = min(STANDARD_BEGUN, bars)
    rsi, line, signal, histogram = out[0, :bars], out[1, :bars], out[2, :bars], out[3, :bars]
    atr, ema_12, ema_26 = out[6, :bars], out[10, :bars], out[11, :bars]
    x = close[:begun]
    gain, loss = fill_rsi(x, 14, rsi[:begun])
    fill_atr(high[:begun], low[:begun], x, 14, room, atr[:begun])
    fill_ema(x, 0, 12, ema_12[:begun])
    fill_ema(x, 0, 26, ema_26[:begun])
    fast = fill_macd(x, (12, 26, 9), ema_26[:begun], line[:begun], signal[:begun], histogram[:begun])
    if begun == bars:
        return
    in_14, in_12, in_26, in_9 = 1.0 / 14.0, 2.0 / 13.0, 2.0 / 27.0, 2.0 / 10.0
    spread, short, slow, smoothed = atr[begun - 1], ema_12[begun - 1], ema_26[begun - 1], signal[begun - 1]
    for i in range(begun, bars):
        price, before = close[i], close[i - 1]
        move = price - before
        gain, loss = smooth(gain, max(move, 0.0), in_14), smooth(loss, max(-move, 0.0), in_14)
        spread = smooth(spread, to_range(high[i], low[i], before), in_14)
        fast, short, slow = smooth(fast, price, in_12), smooth(short, price, in_12), smooth(slow, price, in_26)
        smoothed = smooth(smoothed, fast - slow, in_9)
        rsi[i] = to_rsi(gain, loss, price)
        line[i], signal[i], histogram[i] = fast - slow, smoothed, fast - slow - smoothed
        atr[i], ema_12[i], ema_26[i] = spread, short, slow
