"""Which rows of which series are to be computed, and their values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lib.indicators.stores import IndicatorRows, Mark, RecentCandles

# Candles before the first row that is written. Smoothing forgets by 13/14 a candle at the slowest: what came before
# weighs 5e-20 after so many, so that values are those of the whole history even where an old price was a million times
# the present one.
RUN_IN = 600


@dataclass(frozen=True)
class Work:
    """Series to compute.

    Attributes:
        candles: Of these series.
        firsts: The column of each series' first row to write, shape (symbols,).
        marks: Of each series, once its rows are written.
    """

    candles: RecentCandles
    firsts: NDArray[np.int64]
    marks: Mapping[str, Mark]

    def count_rows(self, symbol: str) -> int:
        """Return how many rows of a series are to be written."""
        width: int = self.candles.close.shape[1]
        return width - int(self.firsts[self.candles.symbols.index(symbol)])


def plan_continued(
    candles: RecentCandles, marks: Mapping[str, Mark], keep: int
) -> tuple[Collection[str], Work, Collection[str]]:
    """Compare candles with the marks they were loaded by.

    Returns:
        Series without anything new; the work on those with newer candles; those whose candles are not what they were.
    """
    width = candles.close.shape[1]
    fresh, changed, rows, firsts = set(), set(), [], []
    for row, symbol in enumerate(candles.symbols):
        mark = marks[symbol]
        first = int(np.searchsorted(candles.opened_at[row], to_numpy(mark.computed_to), side="right"))
        if _digest(candles, row, _find_begin(candles, row), first, keep) != mark.digest:
            changed.add(symbol)
        elif first == width:
            fresh.add(symbol)
        else:
            rows.append(row)
            firsts.append(first)
    going_on = _take(candles, rows)
    begins = {symbol: marks[symbol].begins_at for symbol in going_on.symbols}
    return fresh, Work(going_on, np.array(firsts, dtype=np.int64), _mark_all(going_on, begins, keep)), changed


def plan_anew(candles: RecentCandles, keep: int) -> Work:
    """Return the work on the last `keep` candles of each series that has any, from those loaded with its run-in."""
    width = candles.close.shape[1]
    begins = [_find_begin(candles, row) for row in range(len(candles.symbols))]
    rows = [row for row, begin in enumerate(begins) if begin < width]
    some = _take(candles, rows)
    firsts = np.array([max(begins[row], width - keep) for row in rows], dtype=np.int64)
    shorts = {
        candles.symbols[row]: to_aware(candles.opened_at[row, begins[row]])
        if width - begins[row] < keep + RUN_IN
        else None
        for row in rows
    }
    return Work(some, firsts, _mark_all(some, shorts, keep))


def compute_rows(work: Work) -> IndicatorRows:
    """Return the rows to write; a value beyond what a float can hold is NaN."""
    from lib.indicators import kernels  # imports numba: only a process that computes pays for it

    candles = work.candles
    found = kernels.standard(candles.high, candles.low, candles.close)
    wanted = np.arange(candles.close.shape[1]) >= work.firsts[:, np.newaxis]
    series, _ = np.nonzero(wanted)
    values = np.array([matrix[wanted] for matrix in found.values()])
    values[~np.isfinite(values)] = np.nan
    return IndicatorRows(candles.symbols, series, candles.opened_at[wanted], candles.close[wanted], values)


def to_aware(instant: np.datetime64) -> datetime:
    """Return the UTC instant as Python has it."""
    naive: datetime = instant.astype("datetime64[us]").item()
    return naive.replace(tzinfo=UTC)


def to_numpy(instant: datetime) -> np.datetime64:
    """Return the aware instant as NumPy has it, in UTC."""
    return np.datetime64(instant.astimezone(UTC).replace(tzinfo=None), "us")


def _mark_all(candles: RecentCandles, begins: Mapping[str, datetime | None], keep: int) -> dict[str, Mark]:
    marks = {}
    width = candles.close.shape[1]
    for row, symbol in enumerate(candles.symbols):
        begin = max(_find_begin(candles, row), width - max(keep, RUN_IN))
        marks[symbol] = Mark(
            watched_from=to_aware(candles.opened_at[row, begin]),
            computed_to=to_aware(candles.opened_at[row, -1]),
            begins_at=begins[symbol],
            digest=_digest(candles, row, begin, width, keep),
        )
    return marks


def _find_begin(candles: RecentCandles, row: int) -> int:
    """Return the column of the series' first candle; the width when it has none."""
    return int(np.isnat(candles.opened_at[row]).sum())


def _digest(candles: RecentCandles, row: int, begin: int, end: int, keep: int) -> int:
    """Return 64 bits that another candle among these columns, or another `keep`, would change."""
    digest = blake2b(keep.to_bytes(8, "big"), digest_size=8)
    for matrix in (candles.opened_at.view(np.int64), candles.high, candles.low, candles.close):
        digest.update(matrix[row, begin:end].tobytes())
    return int.from_bytes(digest.digest(), "big", signed=True)


def _take(candles: RecentCandles, rows: Sequence[int]) -> RecentCandles:
    return RecentCandles(
        tuple(candles.symbols[row] for row in rows),
        candles.opened_at[rows],
        candles.high[rows],
        candles.low[rows],
        candles.close[rows],
    )
