"""How much of a search's best result is chance: the deflated Sharpe ratio and the probability of overfitting.

Sharpe ratios here are those of one period (a day), not a year's.
"""

from __future__ import annotations

from itertools import combinations
from math import e, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import FloatMatrix
from lib.performance.measures import FLAT

Floats = NDArray[np.float64]
EULER = 0.5772156649015329
BLOCKS = 12  # of days; 924 ways to choose half of them
NORMAL = NormalDist()


def calc_sharpes(returns: FloatMatrix) -> Floats:
    """Return each row's mean by its sample deviation, of one period; NaN of a flat row."""
    deviation = returns.std(axis=1, ddof=1)
    sharpes: Floats = np.full(len(returns), np.nan)
    np.divide(returns.mean(axis=1), deviation, out=sharpes, where=deviation > FLAT)
    return sharpes


def calc_expected_best(sharpes: Floats) -> float:
    """Return the highest Sharpe ratio that chance alone is expected to give among so many trials.

    ``deviation * ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)))`` with Euler's g and the normal quantile Z (Bailey and López
    de Prado, "The Deflated Sharpe Ratio", 2014). Trials without a Sharpe ratio count as tried.
    """
    count = len(sharpes)
    known = sharpes[np.isfinite(sharpes)]
    if count < 2 or len(known) < 2:
        return 0.0
    quantiles = (1 - EULER) * NORMAL.inv_cdf(1 - 1 / count) + EULER * NORMAL.inv_cdf(1 - 1 / (count * e))
    return float(known.std(ddof=1) * quantiles)


def calc_deflated_sharpe(returns: Floats, sharpes: Floats) -> float | None:
    """Return the probability that the chosen returns' true Sharpe ratio is above what chance gives the best trial.

    The probabilistic Sharpe ratio against `calc_expected_best`, with the returns' skewness and kurtosis (the same
    paper). None of fewer than three returns, or of flat ones.

    Args:
        returns: Of the chosen trial.
        sharpes: Of all trials, of one period each.
    """
    deviation = float(returns.std()) if len(returns) > 2 else 0.0
    if deviation <= FLAT:
        return None
    sharpe = float(returns.mean() / returns.std(ddof=1))
    scores = (returns - returns.mean()) / deviation
    skewness, kurtosis = float((scores**3).mean()), float((scores**4).mean())
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if spread <= 0:
        return None
    return NORMAL.cdf((sharpe - calc_expected_best(sharpes)) * sqrt(len(returns) - 1) / sqrt(spread))


def calc_overfitting(returns: FloatMatrix, blocks: int = BLOCKS) -> float | None:
    """Return how often the best of one half of the days is in the lower half of all trials on the other days.

    Combinatorially symmetric cross-validation (Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest
    Overfitting", 2015). 0.5 is what a search without any skill gives. None with fewer than two trials or two days a
    block.

    Args:
        returns: Of all trials, shape (trials, days).
        blocks: Even; the days are cut into so many.
    """
    trials, days = returns.shape
    if trials < 2 or days < 2 * blocks:
        return None
    parts = np.array_split(returns, blocks, axis=1)
    sums = np.array([part.sum(axis=1) for part in parts])
    squares = np.array([(part**2).sum(axis=1) for part in parts])
    counts = np.array([part.shape[1] for part in parts])
    worse = 0
    halves = list(combinations(range(blocks), blocks // 2))
    for half in halves:
        inside = np.zeros(blocks, dtype=np.bool_)
        inside[list(half)] = True
        chosen = int(np.argmax(_rate(sums, squares, counts, inside)))
        outside = _rate(sums, squares, counts, ~inside)
        rank = ((outside < outside[chosen]).sum() + 0.5 * ((outside == outside[chosen]).sum() + 1)) / (trials + 1)
        worse += rank <= 0.5
    return worse / len(halves)


def _rate(sums: FloatMatrix, squares: FloatMatrix, counts: NDArray[np.int64], which: NDArray[np.bool_]) -> Floats:
    """Return the Sharpe ratio of each trial over some blocks; a flat one counts as zero."""
    count = int(counts[which].sum())
    mean = sums[which].sum(axis=0) / count
    variance = np.maximum(squares[which].sum(axis=0) / count - mean**2, 0)
    rates: Floats = np.zeros(len(mean))
    np.divide(mean, np.sqrt(variance), out=rates, where=variance > FLAT**2)
    return rates
