"""Index momentum: buy when the market as a whole turns up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.strategy.conditions import Condition, Line, shift_candles
from lib.strategy.strategy import Strategy, bounded, calc_strength, divide, settle_wilder

if TYPE_CHECKING:  # it brings numba, which nobody needs to register a strategy
    from lib.indicators.shelf import IndicatorShelf

START = 100.0  # the index's value before its first return; nothing depends on it


class IndexMomentum(Strategy):
    """The equal-weight index of all symbols of the shelf above its simple average: then every symbol is bought.

    Backtests that compare with live signals give it the same universe, not one symbol.

    Attributes:
        period: Candles of the index's average.
    """

    name: ClassVar[str] = "index_momentum"
    reads_market: ClassVar[bool] = True

    period: int = bounded(50, 10, 200, step=10)

    @property
    def lookback(self) -> int:
        """See `Strategy`."""
        return max(self.period + 1, settle_wilder(self.atr_period))

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        return (self._compare(shelf.candles, "above"),)

    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        return (self._compare(shelf.candles, "below"),)

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        """See `Strategy`: how far the index is above its average, in its mean move a candle; the same for all."""
        index = calc_index(shelf.candles)
        moves = np.abs(np.diff(index, prepend=np.nan))
        height = divide(index - calc_mean(index, self.period), calc_mean(moves, self.period))
        return np.broadcast_to(calc_strength(height / 4), shelf.candles.close.shape)

    def _compare(self, candles: CandleMatrix, side: Literal["above", "below"]) -> Condition:
        index = calc_index(candles)
        mean = calc_mean(index, self.period)
        shape = candles.close.shape
        return Condition(
            Line("market index", np.broadcast_to(index, shape), "market index"),
            side,
            Line(f"its SMA {self.period}", np.broadcast_to(mean, shape), "market index"),
        )


def calc_index(candles: CandleMatrix) -> FloatMatrix:
    """Return the equal-weight index of the symbols, shape (bars,), rebuilt from their returns.

    At each bar it moves by the mean return of the symbols that have a candle there and had one before. So a missing
    candle or a newly listed symbol does not move it; what a symbol did while its candles were missing counts when the
    next one comes. A return of more than 1000 % (a bad tick) is left out.

    Example: closes [100, 110] and [NaN, 5] give 100, 110.
    """
    before = shift_candles(candles.close, candles, np.nan)
    returns = divide(candles.close, before) - 1
    known = np.abs(returns) <= 10  # False for NaN
    counts = known.sum(axis=0)
    means = np.divide(np.where(known, returns, 0.0).sum(axis=0), counts, out=np.zeros(len(counts)), where=counts > 0)
    return START * np.cumprod(1 + means)


def calc_mean(values: FloatMatrix, period: int) -> FloatMatrix:
    """Return the mean of the last `period` values at each bar, shape (bars,); NaN until there are so many."""
    from lib.indicators import kernels  # not at the top: it brings numba, as the shelf does

    means: FloatMatrix = kernels.sma(values[np.newaxis], period)[0]
    return means
