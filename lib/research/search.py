"""Searching a strategy's parameters: chosen on past days, judged on the days after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from random import Random

import numpy as np
from numpy.typing import NDArray

from lib.errors import DataError
from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.performance.measures import Measures, measure
from lib.research.overfitting import calc_deflated_sharpe, calc_overfitting, calc_sharpes
from lib.research.rules import TradingRules
from lib.research.sweep import sweep
from lib.strategy.strategy import Strategy

Floats = NDArray[np.float64]
Show = Callable[[int, int, str], None]


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


def search(
    in_force: Strategy,
    candles: CandleMatrix,
    symbols: Sequence[str],
    first: int,
    rules: TradingRules,
    plan: SearchPlan,
    show: Show,
) -> Search:
    """Try parameters on every symbol, and choose by the Sharpe ratio of the mean daily return of all symbols.

    Each combination is traded once over all days; as nothing looks ahead, what it did on the days of a window does not
    depend on those after it.

    Args:
        in_force: The parameters that signals are given by.
        candles: Whole UTC days from `first` on, with the bars before it that strategies look back.
        symbols: Each has an account of its own, of equal weight.
        first: Bar with which the days begin.
        rules: Costs and sizes.
        plan: How much is tried.
        show: Told ``(done, total, what)``.

    Raises:
        DataError: Too few days for one training and one test window.
    """
    tried = choose_parameters(in_force, plan.combinations, plan.seed)
    returns, trades = _try_all(tried, candles, symbols, first, rules, show)
    days = returns.shape[1]
    if days < plan.least_days:
        raise DataError(
            f"{in_force.name}: expected at least {plan.least_days} days ({plan.train_days} to choose on, "
            f"{plan.test_days} to judge, and the last one), was {days}. Fetch more with backfill_market_data."
        )
    past = returns[:, :-1]
    training = past[:, -plan.train_days :]
    sharpes = calc_sharpes(training)
    best = _choose(sharpes)
    after, chosen = walk_forward(past, plan)
    return Search(
        tried=tried,
        best=best,
        train=measure(training[best]),
        out_of_sample=measure(after),
        in_force=measure(past[0, plan.train_days : plan.train_days + len(chosen) * plan.test_days]),
        previous_day_return=float(returns[best, -1]),
        deflated_sharpe=calc_deflated_sharpe(training[best], sharpes),
        overfitting=calc_overfitting(past),
        trades=int(trades[best]),
        sharpes=sharpes * np.sqrt(365),
    )


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


def walk_forward(returns: FloatMatrix, plan: SearchPlan) -> tuple[Floats, list[int]]:
    """Return the returns of the days after each training window by what was best in it, and which that was.

    The last days that are fewer than a test window are left out.
    """
    parts, chosen = [], []
    for begin in range(0, returns.shape[1] - plan.train_days - plan.test_days + 1, plan.test_days):
        split = begin + plan.train_days
        best = _choose(calc_sharpes(returns[:, begin:split]))
        chosen.append(best)
        parts.append(returns[best, split : split + plan.test_days])
    return np.concatenate(parts), chosen


def _choose(sharpes: Floats) -> int:
    """Return the place of the highest; the first one, in force, where none traded."""
    return int(np.argmax(np.where(np.isfinite(sharpes), sharpes, -np.inf)))


def _try_all(
    tried: Sequence[Strategy],
    candles: CandleMatrix,
    symbols: Sequence[str],
    first: int,
    rules: TradingRules,
    show: Show,
) -> tuple[FloatMatrix, NDArray[np.int64]]:
    """Return the mean daily returns of all symbols, shape (tried, days), and the trades of all, shape (tried,)."""
    total: FloatMatrix | None = None
    trades = np.zeros(len(tried), np.int64)
    for number, symbol in enumerate(symbols):
        show(number, len(symbols), f"{tried[0].name} on {symbol}")
        found = sweep(tried, candles, symbol, first, rules)
        total = found.daily_returns if total is None else total + found.daily_returns
        trades += found.trades
    if total is None:
        raise DataError("Expected at least one symbol to search on, was none.")
    return total / len(symbols), trades
