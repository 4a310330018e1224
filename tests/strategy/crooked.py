"""A strategy as it must not be."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import FloatMatrix
from lib.strategy.breakout import Breakout
from lib.strategy.conditions import Condition, Line


class Crooked(Breakout):
    """Its line has another shape than the candles."""

    name: ClassVar[str] = "crooked"

    def enter_when(self, shelf: IndicatorShelf) -> tuple[Condition, ...]:
        wrong = Line("wrong", np.zeros((1, 3)))
        return (Condition(wrong, "above", wrong),)

    def calc_score(self, shelf: IndicatorShelf) -> FloatMatrix:
        return np.zeros(shelf.candles.close.shape)
