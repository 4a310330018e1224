"""The measures of performance, from returns alone. Accounts and backtests share these formulas.

Returns are ratios (0.01 is one percent), one a period, rising in time; float64, since they are statistics. Deviations
are sample deviations (n - 1), a year has 365 days, and the risk-free rate is zero. A measure that the returns do not
define is None, never zero or infinity: of too few of them, of flat ones, of a ratio whose divisor is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Returns = NDArray[np.float64] | Sequence[float]
DAYS_A_YEAR = 365
FLAT = 1e-12  # a deviation below it is rounding, not movement


@dataclass(frozen=True)
class Decline:
    """The deepest fall below a peak.

    Attributes:
        depth: At or below zero: -0.25 is a quarter below the peak.
        peak: The number of returns before the peak; 0 is the beginning.
        trough: The number of returns before the deepest point.
        end: The number of returns before it was back at the peak; None while it is not.
        length: Periods from the peak until it was back there, or until the last return.
    """

    depth: float
    peak: int
    trough: int
    end: int | None
    length: int


@dataclass(frozen=True)
class Measures:
    """What a series of returns amounts to; see the function of each name.

    Attributes:
        periods: How many returns it is made of.
        total_return: None without any return.
        average_return: Of one period.
        volatility: A year's.
        sharpe: A year's.
        sortino: A year's.
        decline: None without any return.
        calmar: A year's.
    """

    periods: int
    total_return: float | None
    average_return: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    decline: Decline | None
    calmar: float | None


def measure(returns: Returns, *, periods_a_year: float = DAYS_A_YEAR, least: int = 2) -> Measures:
    """Return all measures.

    Args:
        returns: At least -1 each, none NaN.
        periods_a_year: 365 for daily returns.
        least: With fewer returns than this, everything that is extrapolated to a year is None: five good days are no
            Sharpe ratio.

    Raises:
        ValueError: A return is NaN, infinite or below -1.
    """
    values = _check(returns)
    is_enough = len(values) >= least
    return Measures(
        periods=len(values),
        total_return=calc_total_return(values) if len(values) else None,
        average_return=float(values.mean()) if len(values) else None,
        volatility=calc_volatility(values, periods_a_year) if is_enough else None,
        sharpe=calc_sharpe(values, periods_a_year) if is_enough else None,
        sortino=calc_sortino(values, periods_a_year) if is_enough else None,
        decline=find_decline(values) if len(values) else None,
        calmar=calc_calmar(values, periods_a_year) if is_enough else None,
    )


def calc_total_return(returns: Returns) -> float:
    """Return what one unit gained: +10 % and then -10 % are -0.01."""
    return float(np.prod(1 + np.asarray(returns)) - 1)


def calc_volatility(returns: Returns, periods_a_year: float = DAYS_A_YEAR) -> float | None:
    """Return the deviation of the returns, as a year's: times the root of the periods. None of fewer than two."""
    return float(np.std(returns, ddof=1) * np.sqrt(periods_a_year)) if len(returns) > 1 else None


def calc_sharpe(returns: Returns, periods_a_year: float = DAYS_A_YEAR) -> float | None:
    """Return the mean by the deviation, as a year's. None of fewer than two returns, or of flat ones.

    0.01, 0.03 and -0.01: mean 0.01, deviation 0.02, so 0.5 a day and 9.55 a year of 365 days.
    """
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    return float(np.mean(returns) / deviation * np.sqrt(periods_a_year)) if deviation > FLAT else None


def calc_sortino(returns: Returns, periods_a_year: float = DAYS_A_YEAR) -> float | None:
    """Return the mean by the downside deviation, as a year's. None of fewer than two returns, or without a loss.

    The downside deviation is the root of the mean square of the losses, where a gain counts as a loss of zero
    (Sortino and Price, 1994): all returns are counted.
    """
    if len(returns) < 2:
        return None
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns) / downside * np.sqrt(periods_a_year)) if downside > FLAT else None


def find_decline(returns: Returns) -> Decline:
    """Return the deepest fall of the growth from its peak; the beginning is a peak too. Depth 0 without any loss.

    0.1, -0.2, 0.0 and 0.3: from 1.1 down to 0.88 and up to 1.144: depth -0.2, begun after one return, back at the peak
    after four, so 3 long.
    """
    growth = np.concatenate(([1.0], np.cumprod(1 + np.asarray(returns, dtype=np.float64))))
    peaks = np.maximum.accumulate(growth)
    falls = growth / peaks - 1
    trough = int(np.argmin(falls))
    if falls[trough] >= 0:
        return Decline(0.0, 0, 0, 0, 0)
    peak = trough - int(np.argmax(growth[trough::-1]))  # the last one where the same height was reached twice
    later = np.flatnonzero(growth[trough:] >= growth[peak])
    end = trough + int(later[0]) if len(later) else None
    return Decline(float(falls[trough]), peak, trough, end, (end if end is not None else len(growth) - 1) - peak)


def calc_yearly_growth(returns: Returns, periods_a_year: float = DAYS_A_YEAR) -> float | None:
    """Return what one unit would gain in a year that went on like this, compounded.

    None without any return, and where a year of it is more than a number can say.
    """
    if not len(returns):
        return None
    with np.errstate(over="ignore"):
        growth = np.power(1 + calc_total_return(returns), periods_a_year / len(returns)) - 1
    return float(growth) if np.isfinite(growth) else None


def calc_calmar(returns: Returns, periods_a_year: float = DAYS_A_YEAR) -> float | None:
    """Return the yearly growth by the depth of the deepest fall. None without a fall, or without any return."""
    growth = calc_yearly_growth(returns, periods_a_year)
    depth = find_decline(returns).depth
    return growth / -depth if growth is not None and depth < 0 else None


def _check(returns: Returns) -> NDArray[np.float64]:
    values = np.asarray(returns, dtype=np.float64)
    if not np.isfinite(values).all() or (values < -1).any():
        raise ValueError("Expected finite returns of at least -1, was otherwise. Leave out the periods without one.")
    return values
