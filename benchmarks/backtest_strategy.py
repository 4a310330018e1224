"""The strategy of the backtest benchmark, as anybody would write it for FKS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import FloatMatrix
from lib.strategy.conditions import Condition, Line
from lib.strategy.strategy import Strategy, bounded, settle_ema


class EmaCross(Strategy):
    """The fast average above the slow one, with a stop and, so far away that it is never reached, a target."""

    name: ClassVar[str] = "ema_cross"

    fast: int = bounded(12, 2, 50, step=1)
    slow: int = bounded(50, 20, 400, step=1)
    target_atr: float = bounded(1000.0, 1000.0, 1000.0, step=1.0)

    @property
    def lookback(self) -> int:
        """See `Strategy`."""
        return settle_ema(self.slow)

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        return (self._averages(shelf, "above"),)

    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        return (self._averages(shelf, "below"),)

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        """See `Strategy`: all alike."""
        return np.full_like(shelf.candles.close, 0.5)

    def _averages(self, shelf: IndicatorShelf, side: Literal["above", "below"]) -> Condition:
        return Condition(Line("fast", shelf.ema(self.fast)), side, Line("slow", shelf.ema(self.slow)))
