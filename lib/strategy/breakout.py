"""Breakout: buy when the price leaves its channel upwards, sell when it falls out of a shorter one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lib.market.matrix import FloatMatrix
from lib.strategy.conditions import Condition, Line, price_line, shift_candles
from lib.strategy.strategy import Strategy, bounded, calc_strength, divide, settle_wilder

if TYPE_CHECKING:
    from lib.indicators.shelf import IndicatorShelf


class Breakout(Strategy):
    """The close above the highest high of the candles before by a part of their average true range.

    Attributes:
        channel: Candles of the channel that is left upwards.
        exit_channel: Candles of the channel whose lowest low ends it.
        margin_atr: By how much the channel must be left, in average true ranges of the candle before.
    """

    name: ClassVar[str] = "breakout"

    channel: int = bounded(20, 10, 60, step=10)
    exit_channel: int = bounded(10, 5, 30, step=5)
    margin_atr: float = bounded(0.25, 0.0, 1.0, step=0.25)

    @property
    def lookback(self) -> int:
        """See `Strategy`."""
        return 1 + max(self.channel, self.exit_channel, settle_wilder(self.atr_period))

    def enter_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        return (Condition(price_line(shelf.candles), "above", self._ceiling(shelf)),)

    def exit_when(self, shelf: IndicatorShelf) -> Sequence[Condition]:
        """See `Strategy`."""
        lows = shift_candles(shelf.lowest(self.exit_channel), shelf.candles, np.nan)
        return (
            Condition(price_line(shelf.candles), "below", Line(f"low of {self.exit_channel} candles before", lows)),
        )

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        """See `Strategy`: how far the price is above the channel, in ATRs."""
        beyond = shelf.candles.close - self._ceiling(shelf).values
        return calc_strength(2 * divide(beyond, shelf.atr(self.atr_period)))

    def _ceiling(self, shelf: IndicatorShelf) -> Line:
        """The channel's top as it stood before this candle: its own high and range must not move what it breaks."""
        top = shelf.highest(self.channel) + self.margin_atr * shelf.atr(self.atr_period)
        margin = f" + {self.margin_atr:g} ATR" if self.margin_atr else ""
        return Line(f"high of {self.channel} candles before{margin}", shift_candles(top, shelf.candles, np.nan))
