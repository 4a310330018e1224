"""Indicators that smooth, of one series without gaps, and the standard set, compiled.

Each writes `out[:n]` for `x[:n]`; `out[i]` uses nothing after `x[i]`, and is NaN during the warm-up.
"""

from __future__ import annotations

import numpy as np

from lib.indicators.compiling import Floats, compiled
from lib.indicators.window_kernels import blank, fill_bands, fill_means

FLAT_SHARE = 1e-10  # of the price; average moves below it are what is left of moves some 180 bars ago
NEUTRAL_RSI = 50.0
STANDARD_BEGUN = 34  # bars after which every indicator of the standard set has begun


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
    """What smooths, of the standard set: each begins on its own, and then all go on together."""
    bars = close.shape[0]
    begun = min(STANDARD_BEGUN, bars)
    averages = begin_smoothed(high[:begun], low[:begun], close[:begun], room, out)
    if begun < bars:
        go_on_smoothed(high[begun:], low[begun:], close[begun - 1 :], averages, begun, out)


@compiled
def begin_smoothed(high: Floats, low: Floats, close: Floats, room: Floats, out: Floats) -> tuple[float, float, float]:
    """Return what the outputs do not show: the last average gain and loss, and the fast mean of the MACD."""
    bars = close.shape[0]
    ema_26 = out[11, :bars]
    gain, loss = fill_rsi(close, 14, out[0, :bars])
    fill_atr(high, low, close, 14, room, out[6, :bars])
    fill_ema(close, 0, 12, out[10, :bars])
    fill_ema(close, 0, 26, ema_26)
    fast = fill_macd(close, (12, 26, 9), ema_26, out[1, :bars], out[2, :bars], out[3, :bars])
    return gain, loss, fast


@compiled
def go_on_smoothed(
    high: Floats, low: Floats, close: Floats, averages: tuple[float, float, float], begun: int, out: Floats
) -> None:
    """Go on from what was begun; `close` begins one bar before the others.

    A step waits for the one before it, so that seven series of steps side by side take hardly longer than one. All that
    is read and written begins with the loop: an index that might be negative costs a third of the time.
    """
    end = begun + high.shape[0]
    rsi, line, signal, histogram = out[0, begun:end], out[1, begun:end], out[2, begun:end], out[3, begun:end]
    atr, ema_12, ema_26 = out[6, begun:end], out[10, begun:end], out[11, begun:end]
    in_14, in_12, in_26, in_9 = 1.0 / 14.0, 2.0 / 13.0, 2.0 / 27.0, 2.0 / 10.0
    gain, loss, fast = averages
    spread, short, slow, smoothed = out[6, begun - 1], out[10, begun - 1], out[11, begun - 1], out[2, begun - 1]
    before, closes = close[0], close[1:]
    for i in range(high.shape[0]):
        price = closes[i]
        move = price - before
        gain, loss = smooth(gain, max(move, 0.0), in_14), smooth(loss, max(-move, 0.0), in_14)
        spread = smooth(spread, to_range(high[i], low[i], before), in_14)
        fast, short, slow = smooth(fast, price, in_12), smooth(short, price, in_12), smooth(slow, price, in_26)
        smoothed = smooth(smoothed, fast - slow, in_9)
        rsi[i] = to_rsi(gain, loss, price)
        line[i], signal[i], histogram[i] = fast - slow, smoothed, fast - slow - smoothed
        atr[i], ema_12[i], ema_26[i] = spread, short, slow
        before = price
