"""Where indicators are kept, as their refresh needs it.

Every method is one short transaction, and raises `DatabaseUnavailable` when the database is lost: then nothing of the
call was stored. `EnvironmentRefused` says that its disk is full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import FloatMatrix


@dataclass(frozen=True)
class Mark:
    """How far a series is computed, and from what. Instants are open times.

    Attributes:
        watched_from: The first candle of those that `digest` is of.
        computed_to: The newest candle with a row, and the last of those.
        begins_at: The oldest stored candle, when the smoothing began with it for lack of older ones.
        digest: Of these candles; any change among them changes it.
    """

    watched_from: datetime
    computed_to: datetime
    begins_at: datetime | None
    digest: int


@dataclass(frozen=True)
class RecentCandles:
    """The newest candles of several series, side by side without gaps, the newest at the right.

    Attributes:
        symbols: The rows' names.
        opened_at: ``datetime64[us]`` in UTC, shape (symbols, candles); NaT at the left of a series with fewer.
        high: Shape (symbols, candles); NaN at the left of a series with fewer, as in the others.
        low: As above.
        close: As above.
    """

    symbols: tuple[str, ...]
    opened_at: NDArray[np.datetime64]
    high: FloatMatrix
    low: FloatMatrix
    close: FloatMatrix


@dataclass(frozen=True)
class IndicatorRows:
    """Rows to store, column by column.

    Attributes:
        symbols: Names that `series` counts in.
        series: Whose each row is, shape (rows,).
        opened_at: ``datetime64[us]`` in UTC.
        close: Of the candle.
        values: In the order of `lib.indicators.names.COLUMNS`, shape (columns, rows); NaN is stored as null.
    """

    symbols: tuple[str, ...]
    series: NDArray[np.int64]
    opened_at: NDArray[np.datetime64]
    close: NDArray[np.float64]
    values: FloatMatrix


class IndicatorStore(Protocol):
    """Candles in, indicators out."""

    def load_marks(self, symbols: Sequence[str], timeframe: str) -> Mapping[str, Mark]:
        """Return the marks; none of a series never computed, or that has older candles now than it began with."""
        ...

    def load_since(self, starts: Mapping[str, datetime], timeframe: str) -> RecentCandles:
        """Return every stored candle of each symbol that opens at its start or later."""
        ...

    def load_last(self, symbols: Sequence[str], timeframe: str, count: int) -> RecentCandles:
        """Return the newest `count` stored candles of each symbol, or all there are."""
        ...

    def save(self, timeframe: str, rows: IndicatorRows, marks: Mapping[str, Mark]) -> int:
        """Store rows and marks, all or nothing; return how many rows are new or changed."""
        ...
