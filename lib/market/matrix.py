"""Candles of many symbols side by side, as indicators, strategies and risk read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatMatrix = NDArray[np.float64]


@dataclass(frozen=True)
class CandleMatrix:
    """Closed candles of one timeframe; every matrix has the shape (symbols, bars), time rising to the right.

    Attributes:
        symbols: The rows' names.
        timeframe: "1h".
        opened_at: Open time of each bar, ``datetime64[us]`` in UTC, shape (bars,), every step of the timeframe.
        open: Quote per base; NaN where no candle is stored, as in all the others.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        volume: In base.
    """

    symbols: tuple[str, ...]
    timeframe: str
    opened_at: NDArray[np.datetime64]
    open: FloatMatrix
    high: FloatMatrix
    low: FloatMatrix
    close: FloatMatrix
    volume: FloatMatrix

    def row_of(self, symbol: str) -> int:
        """Return the symbol's row.

        Raises:
            ValueError: It is not one of the symbols.
        """
        return self.symbols.index(symbol)


class CandleHistory(Protocol):
    """Stored candles for readers."""

    def load_matrix(self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime) -> CandleMatrix:
        """Return the stored candles that open in [start, end); a row of NaN for a symbol without any.

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
        """
        ...

    def load_starts(
        self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime
    ) -> Mapping[str, datetime]:
        """Return the first stored candle of each symbol in [start, end); a symbol without any is absent.

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
        """
        ...
