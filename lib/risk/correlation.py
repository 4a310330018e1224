"""Correlation of what is held: whether ten positions are ten, or one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.risk.returns import to_daily_returns

FLAT = 1e-12  # returns that differ by less than this differ by the rounding of floats


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
    returns = to_daily_returns(candles.close)
    pairs = []
    for first, second in combinations(range(len(candles.symbols)), 2):
        both = returns[[first, second]]
        common = both[:, np.isfinite(both).all(axis=0)]
        correlation = _correlate(common) if common.shape[1] >= max(min_overlap, 2) else None
        if correlation is not None:
            pairs.append(Correlated(candles.symbols[first], candles.symbols[second], correlation, common.shape[1]))
    return CorrelationTable(candles.symbols, tuple(sorted(pairs, key=lambda pair: -pair.correlation)))


def _correlate(both: FloatMatrix) -> float | None:
    """Return Pearson's correlation of two rows; None when either is flat."""
    if (np.ptp(both, axis=1) < FLAT).any():
        return None
    deviations = both - both.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(deviations, axis=1)
    return float(np.clip(deviations[0] @ deviations[1] / norms.prod(), -1, 1))
