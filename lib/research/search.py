"""Searching a strategy's parameters: chosen on past days, judged on the days after them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from random import Random

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import FloatMatrix
from lib.performance.measures import DAYS_A_YEAR, Measures
from lib.research.overfitting import calc_sharpes
from lib.strategy.strategy import Strategy

Floats = NDArray[np.float64]
YEAR = np.sqrt(DAYS_A_YEAR)  # times the Sharpe ratio of a day is that of a year


@dataclass(frozen=True)
class SearchPlan:
    """How much is tried, and on which days.

    Attributes:
        combinations: Tried at most; all of a smaller space.
        seed: The same one tries the same.
        train_days: On which parameters are chosen.
        test_days: After them, on which they are judged; then both move on by as many.
    """

    combinations: int = 200
    seed: int = 1
    train_days: int = 180
    test_days: int = 30

    @property
    def least_days(self) -> int:
        """One training window, one test window, and the last day."""
        return self.train_days + self.test_days + 1


@dataclass(frozen=True)
class Walk:
    """What choosing on one window and trading on the days after it came to, window after window.

    Attributes:
        chosen: The place of the best of each training window.
        train: A year's Sharpe ratio of each combination on each training window, shape (windows, tried); NaN where
            there is none.
        test: The same on the days after it.
        returns: Daily, of what was chosen, on the days after each training window.
    """

    chosen: tuple[int, ...]
    train: FloatMatrix = field(repr=False)
    test: FloatMatrix = field(repr=False)
    returns: Floats = field(repr=False)


@dataclass(frozen=True)
class SymbolOutcome:
    """What a search came to on one symbol.

    Attributes:
        symbol: Which.
        sharpe: A year's, out of sample; None where there is none.
        total_return: Out of sample, ratio.
        in_force_sharpe: Of the parameters in force on those same days.
        in_force_return: Of them too.
        best_return: Of the best combination, over all days.
        best_drawdown: Of it; at or below zero.
        best_trades: Of it.
    """

    symbol: str
    sharpe: float | None
    total_return: float
    in_force_sharpe: float | None
    in_force_return: float
    best_return: float
    best_drawdown: float
    best_trades: int


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        tried: Every combination, the one in force first.
        best: The place of the one that was best on the newest training days, the last day left out.
        train: What that one did on these days.
        out_of_sample: What the choice of each training window did on the days after it, strung together.
        in_force: What the parameters in force did on those same days.
        previous_day_return: What the best did on the last day, ratio; it was not chosen by it.
        deflated_sharpe: Probability that the best's Sharpe ratio on its training days is more than chance.
        overfitting: How often the best of half the days is in the lower half of the others.
        trades: Of the best, over all days and symbols.
        sharpes: A year's, of each combination over the newest training days; NaN where there is none.
        walk: The windows behind `out_of_sample`.
        symbols: What it came to on each.
        best_returns: Daily, of the best, over all days.
        in_force_returns: Daily, of the parameters in force, over all days.
    """

    tried: tuple[Strategy, ...]
    best: int
    train: Measures
    out_of_sample: Measures
    in_force: Measures
    previous_day_return: float
    deflated_sharpe: float | None
    overfitting: float | None
    trades: int
    sharpes: Floats = field(repr=False)
    walk: Walk = field(repr=False)
    symbols: tuple[SymbolOutcome, ...] = field(repr=False)
    best_returns: Floats = field(repr=False)
    in_force_returns: Floats = field(repr=False)


def choose_parameters(in_force: Strategy, count: int, seed: int) -> tuple[Strategy, ...]:
    """Return the parameters in force and others of the search space, `count` in all or as many as there are.

    A space that is not larger is tried wholly; of a larger one a sample without repetition, the same for the same seed.
    """
    kind = type(in_force)
    space = kind.calc_search_space()
    size = prod(len(values) for values in space.values())
    places = range(size) if size <= count else Random(seed).sample(range(size), count)  # noqa: S311 - no secret
    found = [in_force]
    for place in places:
        values, rest = {}, place
        for name, choices in space.items():
            rest, index = divmod(rest, len(choices))
            values[name] = choices[index]
        found.append(kind.model_validate(values))
    return tuple(dict.fromkeys(found))[: max(count, 1)]


def walk_forward(returns: FloatMatrix, plan: SearchPlan) -> Walk:
    """Choose the best of each training window and follow it on the days after.

    The last days that are fewer than a test window are left out.

    Args:
        returns: Daily, of each combination, shape (tried, days); days for one window at least.
        plan: How long the windows are.
    """
    parts, chosen, train, test = [], [], [], []
    for begin in range(0, returns.shape[1] - plan.train_days - plan.test_days + 1, plan.test_days):
        split = begin + plan.train_days
        before, after = returns[:, begin:split], returns[:, split : split + plan.test_days]
        sharpes = calc_sharpes(before)
        train.append(sharpes)
        test.append(calc_sharpes(after))
        chosen.append(choose_best(sharpes))
        parts.append(after[chosen[-1]])
    return Walk(tuple(chosen), np.array(train) * YEAR, np.array(test) * YEAR, np.concatenate(parts))


def choose_best(sharpes: Floats) -> int:
    """Return the place of the highest; the first one, in force, where none traded."""
    return int(np.argmax(np.where(np.isfinite(sharpes), sharpes, -np.inf)))
