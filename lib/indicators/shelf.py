"""The shelf: indicators of a candle matrix, each computed once, when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lib.indicators import kernels
from lib.indicators.stored import StoredIndicators
from lib.market.matrix import CandleMatrix, FloatMatrix

Matrices = tuple[FloatMatrix, ...]


class Macd(NamedTuple):
    """Line, its exponential mean, and their difference."""

    line: FloatMatrix
    signal: FloatMatrix
    histogram: FloatMatrix


class Bands(NamedTuple):
    """Mean of the closes, and so many population deviations below and above."""

    lower: FloatMatrix
    middle: FloatMatrix
    upper: FloatMatrix


class IndicatorShelf:
    """Indicators of candles, as `lib.indicators.kernels` defines them: warm-up, gaps, and no look-ahead.

    Every answer has the shape (symbols, bars) and is shared: it cannot be written to. The standard periods come from
    what is stored where a row is there and was computed from the very close of the candle, and are computed otherwise.
    A stored value has the whole history behind it; a computed one only the matrix, so that smoothed values agree with
    it after some hundred bars.

    Attributes:
        candles: What the indicators are of.
    """

    def __init__(self, candles: CandleMatrix, stored: StoredIndicators | None = None) -> None:
        """Put candles on the shelf.

        Raises:
            ValueError: The stored rows are not on the candles' bars.
        """
        if stored is not None and not _is_on_bars_of(candles, stored):
            raise ValueError("Expected stored indicators of the candles' symbols, timeframe and bars, was of others.")
        self.candles = candles
        self._stored = stored
        self._known: dict[tuple[str, float, float, float], Matrices] = {}

    def sma(self, period: int) -> FloatMatrix:
        """Return the mean of the last `period` closes."""
        (values,) = self._find("sma", period, (f"sma_{period}",), lambda: (kernels.sma(self.candles.close, period),))
        return values

    def ema(self, period: int) -> FloatMatrix:
        """Return the exponential mean of the closes, weight 2 / (period + 1)."""
        (values,) = self._find("ema", period, (f"ema_{period}",), lambda: (kernels.ema(self.candles.close, period),))
        return values

    def rsi(self, period: int = 14) -> FloatMatrix:
        """Return Wilder's relative strength index, 0 to 100; 50 where nothing moves."""
        (values,) = self._find("rsi", period, (f"rsi_{period}",), lambda: (kernels.rsi(self.candles.close, period),))
        return values

    def atr(self, period: int = 14) -> FloatMatrix:
        """Return Wilder's average true range, in quote."""
        high_low_close = self.candles.high, self.candles.low, self.candles.close
        (values,) = self._find("atr", period, (f"atr_{period}",), lambda: (kernels.atr(*high_low_close, period),))
        return values

    def macd(self, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
        """Return MACD of the closes, in quote."""
        columns = ("macd", "macd_signal", "macd_histogram") if (fast, slow, signal) == (12, 26, 9) else ()
        compute = lambda: kernels.macd(self.candles.close, fast, slow, signal)  # noqa: E731 - as in the others
        return Macd(*self._find("macd", fast, columns, compute, slow, signal))

    def bollinger(self, period: int = 20, deviations: float = 2.0) -> Bands:
        """Return Bollinger's bands around the closes, in quote."""
        columns = ("bollinger_lower", "bollinger_middle", "bollinger_upper") if (period, deviations) == (20, 2) else ()
        compute = lambda: kernels.bollinger(self.candles.close, period, deviations)  # noqa: E731 - as in the others
        return Bands(*self._find("bollinger", period, columns, compute, deviations))

    def highest(self, period: int) -> FloatMatrix:
        """Return the highest high of the last `period` candles, the present one included."""
        (values,) = self._find("highest", period, (), lambda: (kernels.highest(self.candles.high, period),))
        return values

    def lowest(self, period: int) -> FloatMatrix:
        """Return the lowest low of the last `period` candles, the present one included."""
        (values,) = self._find("lowest", period, (), lambda: (kernels.lowest(self.candles.low, period),))
        return values

    def _find(
        self,
        name: str,
        period: int,
        columns: tuple[str, ...],
        compute: Callable[[], Matrices],
        second: float = 0,
        third: float = 0,
    ) -> Matrices:
        """Return an indicator's matrices: known, stored under `columns`, computed, or stored where possible."""
        key = name, period, second, third
        if key not in self._known:
            self._known[key] = self._make(columns, compute)
            for matrix in self._known[key]:
                matrix.flags.writeable = False
        return self._known[key]

    def _make(self, columns: tuple[str, ...], compute: Callable[[], Matrices]) -> Matrices:
        if self._stored is None or not columns or not all(column in self._stored.values for column in columns):
            return compute()
        stored = tuple(self._stored.values[column] for column in columns)
        usable = self._stored.close == self.candles.close
        if np.all(usable | np.isnan(self.candles.close)):
            return tuple(np.where(usable, matrix, np.nan) for matrix in stored)
        return tuple(np.where(usable, ours, theirs) for ours, theirs in zip(stored, compute(), strict=True))


def _is_on_bars_of(candles: CandleMatrix, stored: StoredIndicators) -> bool:
    return (
        stored.symbols == candles.symbols
        and stored.timeframe == candles.timeframe
        and np.array_equal(stored.opened_at, candles.opened_at)
    )
