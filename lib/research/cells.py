"""One strategy on one symbol: the part of a search that any process can work out by itself.

A cell names everything that its numbers follow from but the candles, which are read where it is worked out: it is a
kilobyte to send, and what comes back are the daily returns of each combination (1.2 MB of 200 over two years).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.errors import StrategyRefused
from lib.indicators.work import to_numpy
from lib.market.matrix import CandleHistory, CandleMatrix, FloatMatrix
from lib.research.deciding import decide
from lib.research.look_ahead import check_no_look_ahead
from lib.research.rules import TradingRules
from lib.research.search import choose_parameters
from lib.research.sweep import sweep
from lib.research.trades import Floats
from lib.strategy.registry import STRATEGIES, calc_code_version
from lib.strategy.strategy import Strategy


@dataclass(frozen=True)
class Cell:
    """What is to be tried.

    Attributes:
        strategy: Its name.
        parameters: Those in force, as `choose_parameters` begins with them.
        code_version: Of the strategy's file where the search was planned.
        symbol: The one that is traded.
        universe: Whose candles are read: the symbol, and the whole market for a strategy that reads it.
        timeframe: Of the candles.
        begins_at: Of the first candle that is read, UTC.
        starts_at: Of the first day that is traded.
        ends_at: Of the day after the last.
        rules: Costs and sizes.
        combinations: Tried at most.
        seed: The same one tries the same.
    """

    strategy: str
    parameters: Mapping[str, Any]
    code_version: str
    symbol: str
    universe: tuple[str, ...]
    timeframe: str
    begins_at: datetime
    starts_at: datetime
    ends_at: datetime
    rules: TradingRules
    combinations: int
    seed: int

    @property
    def name(self) -> str:
        """What people know it by."""
        return f"{self.strategy} on {self.symbol}"


@dataclass(frozen=True)
class Tried:
    """What each combination did on one symbol, in the order in which they were chosen.

    Attributes:
        daily_returns: Of UTC days, shape (tried, days).
        total_return: From the beginning, ratio, shape (tried,) as all that follow.
        max_drawdown: Of the equity at closes; at or below zero.
        trades: How many.
    """

    daily_returns: FloatMatrix = field(repr=False)
    total_return: Floats = field(repr=False)
    max_drawdown: Floats = field(repr=False)
    trades: NDArray[np.int64] = field(repr=False)


def try_cell(cell: Cell, history: CandleHistory) -> Tried:
    """Read the candles, make sure that the strategy does not look ahead, and trade every combination.

    Cells are worked out side by side, so each has one thread.

    Raises:
        StrategyRefused: The strategy's code cannot be used, looks ahead, or is not the one that the search began with.
        DataError: There is no candle.
        DatabaseUnavailable: The database is lost.
    """
    kind = STRATEGIES.get(cell.strategy)
    if kind is None or calc_code_version(kind) != cell.code_version:
        raise StrategyRefused(
            f"The code of strategy {cell.strategy} here is not the one that the search began with. Give every machine "
            "that works for it the same release."
        )
    strategy = kind.model_validate(cell.parameters)
    candles = history.load_matrix(cell.universe, cell.timeframe, cell.begins_at, cell.ends_at)
    check_no_look_ahead(strategy, candles, decide(strategy, candles))
    first = int(np.searchsorted(candles.opened_at, to_numpy(cell.starts_at)))
    combinations = choose_parameters(strategy, cell.combinations, cell.seed)
    return try_all(combinations, candles, cell.symbol, first, cell.rules, threads=1)


def try_all(
    combinations: tuple[Strategy, ...],
    candles: CandleMatrix,
    symbol: str,
    first: int,
    rules: TradingRules,
    threads: int | None = None,
) -> Tried:
    """Trade every combination on the days from a bar on; `lib.research.sweep.sweep` has the arguments."""
    done = sweep(combinations, candles, symbol, first, rules, threads)
    return Tried(done.daily_returns, done.total_return, done.max_drawdown, done.trades)
