"""Mean reversion: buy what has fallen too far too fast, sell it when it is back at its average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from lib.market.matrix import FloatMatrix
from lib.strategy.conditions import Condition, Line, level, price_line
from lib.strategy.strategy import Strategy, bounded, calc_strength, divide, settle_wilder

if TYPE_CHECKING:
    from lib.indicators.shelf import IndicatorShelf


class MeanReversion(Strategy):
    """RSI below 30 and the close below the lower Bollinger band; out above the middle band, or when RSI is above 60.

    Attributes:
        rsi_period: Candles of the RSI.
        oversold: RSI below which a symbol has fallen too fast.
        recovered: RSI above which it has come back.
        band_period: Candles of the Bollinger bands.
        deviations: Their distance from the middle, in standard deviations.
    """

    name: ClassVar[str] = "mean_reversion"

    rsi_period: int = bounded(14, 7, 21, step=7)
    oversold: float = bounded(30.0, 20.0, 40.0, step=5.0)
    recovered: float = bounded(60.0, 50.0, 70.0, step=10.0)
    band_period: int = bounded(20, 10, 40, step=10)
    deviations: float = bounded(2.0, 1.5, 3.0, step=0.5)

    @property
    def lookback(self) -> int:
        """See `Strategy`."""
        return max(self.band_period, settle_wilder(max(self.rsi_period, self.atr_period)))

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        rsi, bands = self._rsi(shelf), shelf.bollinger(self.band_period, self.deviations)
        lower = Line("lower Bollinger band", bands.lower)
        return (
            Condition(rsi, "below", level(self.oversold, rsi)),
            Condition(price_line(shelf.candles), "below", lower),
        )

    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        rsi, bands = self._rsi(shelf), shelf.bollinger(self.band_period, self.deviations)
        middle = Line("middle Bollinger band", bands.middle)
        return (
            Condition(price_line(shelf.candles), "above", middle),
            Condition(rsi, "above", level(self.recovered, rsi)),
        )

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        """See `Strategy`: half from how deep the RSI is, half from how far the price is below the band, in ATRs."""
        bands = shelf.bollinger(self.band_period, self.deviations)
        depth = (self.oversold - shelf.rsi(self.rsi_period)) / self.oversold
        below = divide(bands.lower - shelf.candles.close, shelf.atr(self.atr_period))
        return 0.5 * calc_strength(4 * depth) + 0.5 * calc_strength(2 * below)

    def _rsi(self, shelf: IndicatorShelf) -> Line:
        return Line(f"RSI {self.rsi_period}", shelf.rsi(self.rsi_period), "RSI")
