"""Correlation of what is held: whether ten positions are ten, or one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.risk.returns import to_daily_returns

FLAT = 1e-9  # returns with a smaller standard deviation differ by the rounding of floats


@dataclass(frozen=True)
class Correlated:
    """Two symbols and the Pearson correlation of their daily returns, from -1 to 1."""

    first: str
    second: str
    correlation: float
    days: int


@dataclass(frozen=True)
class CorrelationTable:
    """Correlations of the holdings' daily returns.

    Attributes:
        symbols: Row and column names.
        pairs: Every pair that has a correlation, highest first.
    """

    symbols: tuple[str, ...]
    pairs: tuple[Correlated, ...]

    @property
    def highest(self) -> Correlated | None:
        """The pair that moves most alike; None when no pair has a correlation."""
        return self.pairs[0] if self.pairs else None

    @property
    def average(self) -> float | None:
        """The plain mean over the pairs; None when no pair has a correlation."""
        return sum(pair.correlation for pair in self.pairs) / len(self.pairs) if self.pairs else None

    def find(self, first: str, second: str) -> float | None:
        """Return the correlation of two symbols in either order; None where it is not known."""
        wanted = {first, second}
        return next((pair.correlation for pair in self.pairs if {pair.first, pair.second} == wanted), None)


def calc_correlations(candles: CandleMatrix, *, min_overlap: int) -> CorrelationTable:
    """Calculate the correlation of each pair over the days on which both have a return.

    A pair with fewer than `min_overlap` such days, or one whose returns never change (a flat price), has none.
    """
    correlations, days = _correlate(to_daily_returns(candles.close))
    pairs = [
        Correlated(
            candles.symbols[first],
            candles.symbols[second],
            float(correlations[first, second]),
            int(days[first, second]),
        )
        for first, second in combinations(range(len(candles.symbols)), 2)
        if days[first, second] >= min_overlap and np.isfinite(correlations[first, second])
    ]
    return CorrelationTable(candles.symbols, tuple(sorted(pairs, key=lambda pair: -pair.correlation)))


def _correlate(returns: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix]:
    """Return Pearson's correlation of each two rows, and the days they share, shapes (symbols, symbols).

    By sums over the shared days, all pairs at once. Returns are near zero, so the differences of sums lose few digits.
    """
    known = np.isfinite(returns)
    present, values = known.astype(np.float64), np.where(known, returns, 0.0)
    days = present @ present.T
    sums, squares = values @ present.T, values**2 @ present.T  # of the row's symbol, over the days it shares
    with np.errstate(invalid="ignore", divide="ignore"):
        deviations = np.sqrt(np.maximum(days * squares - sums**2, 0)) / days
        covariances = (days * (values @ values.T) - sums * sums.T) / days**2
        correlations = covariances / (deviations * deviations.T)
    is_flat = np.minimum(deviations, deviations.T) < FLAT
    return np.where(is_flat, np.nan, np.clip(correlations, -1, 1)), days
