"""Adding up what the combinations did on each symbol, and judging the sum.

Symbols are added in their order, whoever worked them out and whenever: the same floats in the same order give the same
numbers. What is kept of a symbol afterwards is small: a few numbers for each combination and test window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.errors import DataError
from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.performance.measures import FLAT, measure
from lib.research.cells import Tried, try_all
from lib.research.look_ahead import Show
from lib.research.overfitting import calc_deflated_sharpe, calc_overfitting, calc_sharpes
from lib.research.rules import TradingRules
from lib.research.search import (
    YEAR,
    Floats,
    Search,
    SearchPlan,
    SymbolOutcome,
    Walk,
    choose_best,
    choose_parameters,
    walk_forward,
)
from lib.strategy.strategy import Strategy


@dataclass(frozen=True)
class _Part:
    """What is kept of one symbol; by test window: the sum of daily returns, of their squares, and the growth.

    Attributes:
        sums: Shape (tried, windows), as the next two.
        total_return: Shape (tried,), as the last two.
    """

    symbol: str
    sums: FloatMatrix
    squares: FloatMatrix
    growth: FloatMatrix
    total_return: Floats
    max_drawdown: Floats
    trades: NDArray[np.int64]


class Tally:
    """What every combination of one strategy did on the symbols so far."""

    def __init__(self, plan: SearchPlan) -> None:
        self._plan = plan
        self._returns: FloatMatrix | None = None
        self._parts: list[_Part] = []

    def add(self, symbol: str, tried: Tried) -> None:
        """Add a symbol.

        Raises:
            DataError: Too few days for one training and one test window.
        """
        days, plan = tried.daily_returns.shape[1], self._plan
        if days < plan.least_days:
            raise DataError(
                f"{symbol}: expected at least {plan.least_days} days ({plan.train_days} to choose on, "
                f"{plan.test_days} to judge, and the last one), was {days}. Fetch more with backfill_market_data."
            )
        self._returns = tried.daily_returns.copy() if self._returns is None else self._returns + tried.daily_returns
        self._parts.append(self._keep(symbol, tried))

    def _keep(self, symbol: str, tried: Tried) -> _Part:
        plan, days = self._plan, tried.daily_returns.shape[1] - 1
        count = (days - plan.train_days) // plan.test_days
        tested = tried.daily_returns[:, plan.train_days : plan.train_days + count * plan.test_days]
        windows = tested.reshape(len(tested), count, plan.test_days)
        return _Part(
            symbol=symbol,
            sums=windows.sum(axis=2),
            squares=(windows**2).sum(axis=2),
            growth=(1 + windows).prod(axis=2),
            total_return=tried.total_return,
            max_drawdown=tried.max_drawdown,
            trades=tried.trades,
        )

    def judge(self, tried: tuple[Strategy, ...]) -> Search:
        """Choose by the Sharpe ratio of the mean daily return of all symbols, and say how much of it is chance.

        Args:
            tried: The combinations, in the order in which they were traded.

        Raises:
            DataError: No symbol was added.
        """
        if self._returns is None:
            raise DataError("Expected at least one symbol to search on, was none.")
        plan, returns = self._plan, self._returns / len(self._parts)
        past = returns[:, :-1]
        training = past[:, -plan.train_days :]
        sharpes = calc_sharpes(training)
        best = choose_best(sharpes)
        walk = walk_forward(past, plan)
        return Search(
            tried=tried,
            best=best,
            train=measure(training[best]),
            out_of_sample=measure(walk.returns),
            in_force=measure(past[0, plan.train_days : plan.train_days + len(walk.returns)]),
            previous_day_return=float(returns[best, -1]),
            deflated_sharpe=calc_deflated_sharpe(training[best], sharpes),
            overfitting=calc_overfitting(past),
            trades=sum(int(part.trades[best]) for part in self._parts),
            sharpes=sharpes * YEAR,
            walk=walk,
            symbols=tuple(self._describe(part, walk, best) for part in self._parts),
            best_returns=returns[best],
            in_force_returns=returns[0],
        )

    def _describe(self, part: _Part, walk: Walk, best: int) -> SymbolOutcome:
        days = self._plan.test_days
        in_force = [0] * len(walk.chosen)
        return SymbolOutcome(
            symbol=part.symbol,
            sharpe=_calc_sharpe(part, walk.chosen, days),
            total_return=_calc_return(part, walk.chosen),
            in_force_sharpe=_calc_sharpe(part, in_force, days),
            in_force_return=_calc_return(part, in_force),
            best_return=float(part.total_return[best]),
            best_drawdown=float(part.max_drawdown[best]),
            best_trades=int(part.trades[best]),
        )


def search(
    in_force: Strategy,
    candles: CandleMatrix,
    symbols: Sequence[str],
    first: int,
    rules: TradingRules,
    plan: SearchPlan,
    show: Show,
) -> Search:
    """Try parameters on every symbol of these candles, here and now.

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
    combinations = choose_parameters(in_force, plan.combinations, plan.seed)
    tally = Tally(plan)
    for number, symbol in enumerate(symbols):
        show(number, len(symbols), f"{in_force.name} on {symbol}")
        tally.add(symbol, try_all(combinations, candles, symbol, first, rules))
    return tally.judge(combinations)


def _calc_sharpe(part: _Part, chosen: Sequence[int], days: int) -> float | None:
    """Return a year's Sharpe ratio of what was chosen for each window; None of a flat one."""
    places, count = np.arange(len(chosen)), len(chosen) * days
    total, squares = float(part.sums[chosen, places].sum()), float(part.squares[chosen, places].sum())
    variance = (squares - total**2 / count) / (count - 1)
    return float(total / count / np.sqrt(variance) * YEAR) if variance > FLAT**2 else None


def _calc_return(part: _Part, chosen: Sequence[int]) -> float:
    return float(part.growth[chosen, np.arange(len(chosen))].prod() - 1)
