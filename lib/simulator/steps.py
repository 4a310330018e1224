"""Rounding of one instrument's prices and quantities to its steps, in the exact units of candles."""

from __future__ import annotations

import numpy as np

from lib.simulator.arrays import Floats, Integers
from lib.simulator.candles import BASE, CLOSE, OPEN, QUOTE, TAKER_BASE, TAKER_QUOTE, TRADES, to_units
from lib.simulator.market import Instrument
from lib.simulator.path import TAKER_ROW, VOLUME_ROW
from lib.simulator.segments import Segment

QUOTE_A_TRADE = 500.0  # usual size of a public trade, in quote


class Steps:
    """Rounding of one instrument."""

    def __init__(self, instrument: Instrument) -> None:
        self.tick = to_units(instrument.tick_size)
        self.step = to_units(instrument.step_size)
        self._ticks_a_unit = 1e8 / self.tick
        self._step = float(instrument.step_size)

    def round_price(self, price: float) -> int:
        """Return a price in quote as units of 1e-8 on the grid of ticks, at least one tick."""
        return max(1, round(price * self._ticks_a_unit)) * self.tick

    def scale_prices(self, prices: Floats, minutes_ms: Integers, segment: Segment) -> Integers:
        """Return undisturbed prices, shape `(4, n)`, as the segment makes them."""
        if segment.flat:
            return np.full(prices.shape, segment.price, dtype=np.int64)
        scaled = segment.factors(minutes_ms) * prices
        return np.maximum(1, np.rint(scaled * self._ticks_a_unit)).astype(np.int64) * self.tick

    def fill_volumes(self, minutes: Integers, path: Floats) -> None:
        """Fill the volume columns of a day's minutes from the path's volumes and the prices already there."""
        lots = np.rint(path[VOLUME_ROW] / self._step)
        quote = lots * self._step * minutes[OPEN : CLOSE + 1].mean(axis=0) / 1e8
        minutes[BASE] = lots.astype(np.int64) * self.step
        minutes[QUOTE] = np.rint(quote * 1e6).astype(np.int64)
        minutes[TRADES] = np.where(lots > 0, 1 + (quote / QUOTE_A_TRADE).astype(np.int64), 0)
        minutes[TAKER_BASE] = np.floor(lots * path[TAKER_ROW]).astype(np.int64) * self.step
        minutes[TAKER_QUOTE] = (quote * path[TAKER_ROW] * 1e6).astype(np.int64)
