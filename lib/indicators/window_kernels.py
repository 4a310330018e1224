"""Indicators of the last `period` values of one series without gaps, compiled.

Each writes `out[:n]` for `x[:n]`; `out[i]` uses nothing after `x[i]`, and is NaN during the warm-up. Window sums are
added up anew for each bar: a running sum would carry a bad tick's rounding error for ever, and would depend on where
the series begins. Their inner loops run over bars, so that they are vectorised.
"""

from __future__ import annotations

import numpy as np

from lib.indicators.compiling import Floats, compiled

TILE = 256  # bars at a time, so that a window's passes stay in the first cache


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
