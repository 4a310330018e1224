"""Trend following: buy when the short trend turns up within a long one that rises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from lib.market.matrix import FloatMatrix
from lib.strategy.conditions import Condition, Line, price_line
from lib.strategy.strategy import Strategy, bounded, calc_strength, divide, settle_ema, settle_wilder

if TYPE_CHECKING:
    from lib.indicators.shelf import IndicatorShelf


class TrendFollowing(Strategy):
    """EMA 12 above EMA 26, MACD above its signal, and the close above SMA 200.

    Attributes:
        fast: Candles of the fast average, and of MACD's.
        slow: Candles of the slow average, and of MACD's.
        signal: Candles of MACD's signal line.
        trend: Candles of the long simple average.
    """

    name: ClassVar[str] = "trend_following"

    fast: int = bounded(12, 6, 18, step=3)
    slow: int = bounded(26, 20, 50, step=6)
    signal: int = bounded(9, 5, 13, step=4)
    trend: int = bounded(200, 100, 300, step=50)

    @property
    def lookback(self) -> int:
        """See `Strategy`."""
        return max(self.trend, settle_ema(self.slow) + settle_ema(self.signal), settle_wilder(self.atr_period))

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        macd = shelf.macd(self.fast, self.slow, self.signal)
        return (
            self._averages(shelf, "above"),
            Condition(Line("MACD", macd.line, "MACD"), "above", Line("its signal", macd.signal, "MACD")),
            Condition(price_line(shelf.candles), "above", Line(f"SMA {self.trend}", shelf.sma(self.trend))),
        )

    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`: the averages have crossed back."""
        return (self._averages(shelf, "below"),)

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        """See `Strategy`: half from MACD's push, half from how far the price is above the long average, in ATRs."""
        atr = shelf.atr(self.atr_period)
        push = divide(shelf.macd(self.fast, self.slow, self.signal).histogram, atr)
        height = divide(shelf.candles.close - shelf.sma(self.trend), atr)
        return 0.5 * calc_strength(4 * push) + 0.5 * calc_strength(height / 4)

    def _averages(self, shelf: IndicatorShelf, side: Literal["above", "below"]) -> Condition:
        fast, slow = Line(f"EMA {self.fast}", shelf.ema(self.fast)), Line(f"EMA {self.slow}", shelf.ema(self.slow))
        return Condition(fast, side, slow)
