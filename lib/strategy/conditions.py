"""What strategies are made of: lines, and one line being above or below another.

A rule and the sentence that explains it come from the same condition, so what people are told is what was decided. The
chart of a signal draws the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import CandleMatrix, FloatMatrix

BoolMatrix = NDArray[np.bool_]
Scalar = TypeVar("Scalar", np.float64, np.bool_)
PRICE = "price"  # the panel of everything that is quote per base
DIGITS = 6  # significant ones in sentences


@dataclass(frozen=True)
class Line:
    """Something that has a value at each bar.

    Attributes:
        name: As people read it: "EMA 12".
        values: Shape (symbols, bars); NaN where unknown.
        panel: Lines of the same panel are drawn on one scale: "price", "RSI".
    """

    name: str
    values: FloatMatrix
    panel: str = PRICE


def price_line(candles: CandleMatrix) -> Line:
    """Return the closes as a line."""
    return Line("close", candles.close)


def level(value: float, other: Line) -> Line:
    """Return a constant to compare the other line with."""
    return Line(format_float(value), np.broadcast_to(np.float64(value), other.values.shape), other.panel)


@dataclass(frozen=True)
class Condition:
    """One line being above or below another, strictly; it does not hold where either is unknown.

    >>> rsi = Line("RSI 14", np.array([[40.0, 27.1]]), "RSI")
    >>> Condition(rsi, "below", level(30, rsi)).describe(0, 1)
    'RSI 14 (27.1) is below 30'
    """

    left: Line
    side: Literal["above", "below"]
    right: Line

    def calc_margin(self) -> FloatMatrix:
        """Return by how much it holds: above zero where it does, NaN where unknown."""
        difference = self.left.values - self.right.values
        return difference if self.side == "above" else -difference

    def holds_at(self, row: int, bar: int) -> bool:
        """Say whether it holds for one symbol at one bar."""
        left, right = self.left.values[row, bar], self.right.values[row, bar]
        return bool(left > right if self.side == "above" else left < right)

    def describe(self, row: int, bar: int) -> str:
        """Say with the numbers whether it holds for one symbol at one bar."""
        left, right = float(self.left.values[row, bar]), float(self.right.values[row, bar])
        unknown = [line.name for line, value in ((self.left, left), (self.right, right)) if math.isnan(value)]
        if unknown:
            return f"{' and '.join(unknown)} not known yet: too few candles"
        verb = "is" if self.holds_at(row, bar) else "is not"
        return f"{_tell(self.left.name, left)} {verb} {self.side} {_tell(self.right.name, right)}"


def find_where_all(conditions: Sequence[Condition]) -> tuple[BoolMatrix, BoolMatrix]:
    """Return where all of them hold, and where all of them are known."""
    margins = [condition.calc_margin() for condition in conditions]
    holds, known = margins[0] > 0, ~np.isnan(margins[0])
    for margin in margins[1:]:
        holds &= margin > 0
        known &= ~np.isnan(margin)
    return holds, known


def find_where_any(conditions: Sequence[Condition], candles: CandleMatrix) -> BoolMatrix:
    """Return where at least one of them holds; nowhere without any."""
    holds = np.zeros(candles.close.shape, dtype=np.bool_)
    for condition in conditions:
        holds |= condition.calc_margin() > 0
    return holds


def find_beginnings(holds: BoolMatrix, known: BoolMatrix, candles: CandleMatrix) -> BoolMatrix:
    """Return where something begins to hold: it is known that it did not at the symbol's candle before."""
    return holds & shift_candles(known & ~holds, candles, np.False_)


def shift_candles(values: NDArray[Scalar], candles: CandleMatrix, missing: Scalar | float) -> NDArray[Scalar]:
    """Return at each bar the value at the symbol's candle before; bars without a candle are passed over.

    Args:
        values: Shape (symbols, bars).
        candles: Which bars have one.
        missing: Stands where there is no candle before.
    """
    is_candle = ~np.isnan(candles.close)
    shifted = np.full_like(values, missing)
    if is_candle.all():
        shifted[:, 1:] = values[:, :-1]
        return shifted
    places = np.where(is_candle, np.arange(values.shape[1]), -1)
    before = np.maximum.accumulate(places, axis=1)[:, :-1]
    taken = np.take_along_axis(values, np.maximum(before, 0), axis=1)
    shifted[:, 1:] = np.where(before >= 0, taken, missing)
    return shifted


def format_float(value: float) -> str:
    """Render a number for a sentence: six significant digits, thousands separated, no exponent.

    >>> format_float(64321.987), format_float(0.0000123456789), format_float(30.0)
    ('64,322', '0.0000123457', '30')
    """
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else str(value)
    decimals = max(0, DIGITS - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _tell(name: str, value: float) -> str:
    number = format_float(value)
    return name if name == number else f"{name} ({number})"
