"""Many parameters of one strategy on one symbol: what each would have earned, without a record of the trades."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lib.errors import StrategyRefused
from lib.indicators.shelf import IndicatorShelf
from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.performance.measures import DAYS_A_YEAR, FLAT
from lib.research import kernels
from lib.research.engine import check_candles, to_numbers, to_plain
from lib.research.rules import TradingRules
from lib.research.trades import Floats, Places
from lib.research.windows import cut_candles, find_day_ends
from lib.strategy.conditions import Condition, Line
from lib.strategy.strategy import Strategy

LEVELS = {"stop_atr", "target_atr"}  # parameters that signals do not depend on
FACTS = 7


@dataclass(frozen=True)
class Sweep:
    """What each of the parameters would have earned, in their order; NaN where a measure is not defined.

    Attributes:
        strategies: With their parameters.
        daily_returns: Of UTC days, shape (strategies, days).
        total_return: From the beginning, ratio, shape (strategies,) as all that follow.
        annual_return: Compounded, as if a year went on like this.
        volatility: A year's.
        sharpe: A year's.
        sortino: A year's.
        calmar: Annual return by the depth of the drawdown.
        max_drawdown: Of the equity at closes; at or below zero.
        trades: How many.
        win_rate: Share of trades with a profit.
        profit_factor: Gains by losses.
        fees: In quote.
        time_in_market: Share of closes at which the symbol was held.
    """

    strategies: tuple[Strategy, ...]
    daily_returns: FloatMatrix = field(repr=False)
    total_return: Floats
    annual_return: Floats
    volatility: Floats
    sharpe: Floats
    sortino: Floats
    calmar: Floats
    max_drawdown: Floats
    trades: Places
    win_rate: Floats
    profit_factor: Floats
    fees: Floats
    time_in_market: Floats


@dataclass(frozen=True)
class Course:
    """The candles of one symbol that are there, of a window that begins at a bar.

    Attributes:
        shelf: All candles of all symbols, which the strategies decide on.
        row: The symbol's.
        places: The bars with a candle, the last one before the window first; as a slice where none is missing.
        lead: How many of them are before the window: 1, or 0 where history begins with it.
        prices: Open, high, low and close in the window, each of the shape (candles,).
        day_ends: The last of these candles in each UTC day of the window, -1 before the first.
    """

    shelf: IndicatorShelf
    row: int
    places: Places | slice
    lead: int
    prices: tuple[Floats, Floats, Floats, Floats]
    day_ends: Places

    def take(self, line: Line) -> Floats:
        """Return a line's values at the places."""
        return np.require(line.values[self.row, self.places], np.float64, ["C"])


def sweep(
    strategies: Sequence[Strategy],
    candles: CandleMatrix,
    symbol: str,
    first: int,
    rules: TradingRules,
    threads: int | None = None,
) -> Sweep:
    """Trade one symbol with each of the parameters; the trades are those of `lib.research.engine.simulate`.

    Strategies that differ in their stop and target alone share their signals.

    Args:
        strategies: The parameters to try.
        candles: With as many bars before the window as the strategies look back, and the whole market for a strategy
            that reads it.
        symbol: The one that is traded.
        first: Bar with which the window begins.
        rules: Costs and sizes.
        threads: How many work at once; None takes one for each processor.

    Raises:
        StrategyRefused: A strategy's code gives what cannot be traded.
        DataError: There is no candle.
    """
    if not any(strategy.reads_market for strategy in strategies):
        candles = cut_candles(candles, 0, len(candles.opened_at), [candles.row_of(symbol)])
    check_candles(candles)
    course = plan_course(candles, candles.row_of(symbol), first)
    daily, facts = np.empty((len(strategies), len(course.day_ends))), np.empty((len(strategies), FACTS))
    groups = list(group_by_signals(strategies).values())

    def work(group: list[int], signals: tuple[Places, Places]) -> None:
        members = [strategies[place] for place in group]
        daily[group], facts[group] = try_group(course, members, signals, rules)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        # Signals first, then trades: indicators and candles together do not fit into a processor's cache.
        signals = list(pool.map(lambda group: find_signals(course, strategies[group[0]]), groups))
        list(pool.map(work, groups, signals))
    return measure(tuple(strategies), daily, facts, rules.cash, len(course.prices[0]))


def plan_course(candles: CandleMatrix, row: int, first: int) -> Course:
    """Return the course of one symbol from a bar on."""
    there = np.flatnonzero(np.isfinite(candles.close[row]))
    inside = int(np.searchsorted(there, first))
    lead = min(inside, 1)
    bars, reached = there[inside:], there[inside - lead :]
    is_whole = len(reached) == candles.close.shape[1] - reached[0] if len(reached) else False
    inner = slice(int(reached[lead]), None) if is_whole and len(bars) else bars
    parts = (candles.open, candles.high, candles.low, candles.close)
    opens, highs, lows, closes = (to_plain(part[row, inner]) for part in parts)
    ends = first + find_day_ends(candles.opened_at[first:])
    return Course(
        shelf=IndicatorShelf(candles),
        row=row,
        places=slice(int(reached[0]), None) if is_whole else reached,
        lead=lead,
        prices=(opens, highs, lows, closes),
        day_ends=(np.searchsorted(bars, ends, side="right") - 1).astype(np.int64),
    )


def group_by_signals(strategies: Sequence[Strategy]) -> Mapping[str, list[int]]:
    """Return the places of strategies with the same signals, the one with the nearest levels first."""
    groups: dict[str, list[int]] = {}
    for place, strategy in enumerate(strategies):
        key = f"{strategy.name} {strategy.model_dump_json(exclude=LEVELS)}"
        groups.setdefault(key, []).append(place)
    for places in groups.values():
        places.sort(key=lambda place: (strategies[place].stop_atr, strategies[place].target_atr))
    return groups


def try_group(
    course: Course, members: Sequence[Strategy], found: tuple[Places, Places], rules: TradingRules
) -> tuple[FloatMatrix, FloatMatrix]:
    """Return equity at the ends of days and facts of strategies with the same signals, in their order."""
    opens, highs, lows, closes = course.prices
    bought_at, leaves_at = found
    signals = kernels.Signals(opens, highs, lows, closes, bought_at, leaves_at, course.day_ends)
    atr = course.shelf.atr(members[0].atr_period)[course.row, course.places][course.lead :][bought_at]
    close, (stop_atr, target_atr) = closes[bought_at], np.array([(one.stop_atr, one.target_atr) for one in members]).T
    count = len(members)
    pairs = kernels.Pairs(
        stops=close - np.multiply.outer(stop_atr, atr),
        targets=close + np.multiply.outer(target_atr, atr),
        accounts=np.full((count, 2), float(rules.cash)),
        marks=np.zeros((count, 2), np.int64),
        daily=np.empty((count, len(course.day_ends))),
        facts=np.zeros((count, FACTS)),
    )
    kernels.try_levels(signals, pairs, to_numbers(rules, 1))
    return pairs.daily, pairs.facts


def find_signals(course: Course, strategy: Strategy) -> tuple[Places, Places]:
    """Return the candles of the window with an entry, and those at whose open it is left.

    They are those of `Strategy.decide`, without its score: an entry whose score is unknown counts here.

    Raises:
        StrategyRefused: The strategy's lines have another shape than the candles.
    """
    entering, leaving = tuple(strategy.enter_when(course.shelf)), tuple(strategy.exit_when(course.shelf))
    shape = course.shelf.candles.close.shape
    for condition in (*entering, *leaving):
        if condition.left.values.shape != shape or condition.right.values.shape != shape:
            was = condition.left.values.shape, condition.right.values.shape
            raise StrategyRefused(f"Strategy {strategy.name}: expected lines of the shape {shape}, was {was}. Mend it.")
    bars = len(course.prices[0]) + course.lead
    codes = np.full(-(-bars // kernels.WORD) * kernels.WORD, kernels.TRUE, np.uint8)
    codes[bars:] = kernels.UNKNOWN
    for condition in entering:
        kernels.require_above(*_order(course, condition), codes)
    for condition in leaving:
        kernels.allow_above(*_order(course, condition), codes)
    bought_at, leaves_at = np.empty((2, bars // 2 + 1), np.int64)  # an entry begins where the bar before had none
    count = kernels.find_signals(codes, codes.view(np.uint64), course.lead, bars, bought_at, leaves_at)
    return bought_at[:count].copy(), leaves_at[:count].copy()


def _order(course: Course, condition: Condition) -> tuple[Floats, Floats]:
    left, right = course.take(condition.left), course.take(condition.right)
    return (left, right) if condition.side == "above" else (right, left)


def measure(
    strategies: tuple[Strategy, ...], daily: FloatMatrix, facts: FloatMatrix, cash: float, closes: int
) -> Sweep:
    """Return what the rows amount to; the formulas are those of `lib.performance.measures`, for all rows at once."""
    before = np.concatenate([np.full((len(daily), 1), cash), daily[:, :-1]], axis=1)
    returns = daily / before - 1
    days, year = returns.shape[1], np.sqrt(DAYS_A_YEAR)
    mean = returns.mean(axis=1)
    deviation = returns.std(axis=1, ddof=1) if days > 1 else np.zeros(len(returns))
    downside = np.sqrt((np.minimum(returns, 0) ** 2).mean(axis=1))
    growth = daily[:, -1] / cash
    annual = growth ** (DAYS_A_YEAR / days) - 1
    worst = facts[:, kernels.WORST]
    return Sweep(
        strategies=strategies,
        daily_returns=returns,
        total_return=growth - 1,
        annual_return=annual,
        volatility=deviation * year if days > 1 else np.full(len(returns), np.nan),
        sharpe=_divide(mean, deviation, FLAT) * year,
        sortino=_divide(mean, downside, FLAT) * year if days > 1 else np.full(len(returns), np.nan),
        calmar=_divide(annual, -worst, 0),
        max_drawdown=worst,
        trades=facts[:, kernels.TRADES].astype(np.int64),
        win_rate=_divide(facts[:, kernels.WON], facts[:, kernels.TRADES], 0),
        profit_factor=_divide(facts[:, kernels.GAINS], facts[:, kernels.LOSSES], 0),
        fees=facts[:, kernels.FEES],
        time_in_market=facts[:, kernels.HELD] / closes,
    )


def _divide(amounts: Floats, by: Floats, above: float) -> Floats:
    """Return the ratio where the divisor is above a limit, NaN elsewhere."""
    ratio: NDArray[np.float64] = np.divide(amounts, by, out=np.full(len(by), np.nan), where=by > above)
    return ratio
