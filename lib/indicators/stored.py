"""Stored indicators, as readers get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import FloatMatrix


@dataclass(frozen=True)
class StoredIndicators:
    """Rows of the table `indicators` on the bars of a `CandleMatrix`; every matrix has the shape (symbols, bars).

    Attributes:
        symbols: The rows' names.
        timeframe: "1h".
        opened_at: Open time of each bar.
        close: Of the candle that the row was computed from; NaN where no row is stored.
        values: By column; NaN where no row is stored, and in the warm-up.
    """

    symbols: tuple[str, ...]
    timeframe: str
    opened_at: NDArray[np.datetime64]
    close: FloatMatrix
    values: Mapping[str, FloatMatrix]


class IndicatorHistory(Protocol):
    """Stored indicators for readers."""

    def load_stored(self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime) -> StoredIndicators:
        """Return the stored rows of the candles that open in [start, end).

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
        """
        ...
