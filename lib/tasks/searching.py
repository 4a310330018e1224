"""The search of parameters: `run_backtest`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from lib.errors import DataError
from lib.indicators.work import to_aware
from lib.market.matrix import CandleMatrix
from lib.market.timeframes import floor_to_timeframe, width_of
from lib.platform import Platform
from lib.ports import Clock
from lib.research import searching, validation
from lib.research.deciding import decide
from lib.research.look_ahead import Show, check_no_look_ahead
from lib.research.rules import TradingRules
from lib.research.search import SearchPlan, search
from lib.research.searching import Searched, SearchResult
from lib.settings import Settings
from lib.strategy.roster import register_strategies
from lib.strategy.stores import StoredStrategy
from lib.strategy.strategy import Strategy
from lib.tasks.research import Stores, make_rules, make_strategy


async def run_backtest(
    platform: Platform, strategy: str | None, symbols: Sequence[str] | None, show: Show
) -> SearchResult:
    """Search the parameters of strategies on all stored whole days, and keep candidates.

    Args:
        platform: The parts.
        strategy: Only this one; None means all of the code, disabled ones too.
        symbols: None means all that are kept.
        show: Told ``(done, total, what)``.

    Raises:
        OperatorError: There is no such strategy.
    """
    settings, clock = platform.settings, platform.clock
    stores = Stores(platform.analysis.history, platform.analysis.strategies, platform.market)
    plan = SearchPlan(
        combinations=settings.search_combinations,
        seed=settings.search_seed,
        train_days=settings.search_train_days,
        test_days=settings.search_test_days,
    )
    chosen = tuple(symbols or settings.symbols)

    def work() -> SearchResult:
        register_strategies(stores.strategies, clock.now())
        rules = make_rules(stores, settings, chosen)
        return searching.run_backtest(
            strategy=strategy,
            stored=validation.choose_strategies(stores.strategies.load_strategies(), strategy),
            find=lambda one: search_one(one, chosen, stores, settings, clock, plan, rules, show),
            store=stores.strategies,
            plan=plan,
            clock=clock,
        )

    return await asyncio.to_thread(work)


def search_one(
    one: StoredStrategy,
    symbols: Sequence[str],
    stores: Stores,
    settings: Settings,
    clock: Clock,
    plan: SearchPlan,
    rules: TradingRules,
    show: Show,
) -> Searched:
    """Search one strategy on the whole UTC days for which every symbol that counts has candles.

    A symbol whose history begins within the newest training and test window is left out.

    Raises:
        DataError: There are too few days.
        StrategyRefused: The strategy's code or parameters cannot be used, or it looks ahead.
    """
    strategy = make_strategy(one.name, {}, one.parameters)
    timeframe = settings.signal_timeframe
    width, day = width_of(timeframe), timedelta(days=1)
    end = floor_to_timeframe(clock.now(), "1d")
    universe = list(dict.fromkeys([*symbols, *(settings.symbols if strategy.reads_market else ())]))
    lookback = timedelta(days=-(-longest_lookback(strategy) * width // day))
    begin = end - timedelta(days=settings.history_days[timeframe])
    candles = stores.history.load_matrix(universe, timeframe, begin, end)
    starts = {symbol: _find_start(candles, symbol) for symbol in symbols}
    latest = end - plan.least_days * day - lookback
    counted = tuple(symbol for symbol, at in starts.items() if at is not None and at <= latest)
    if not counted:
        raise DataError(
            f"No symbol has {plan.least_days} days of {timeframe} candles and {lookback.days} before them, so "
            f"{one.name} cannot be searched. Raise FKS_HISTORY_DAYS, or wait for the history."
        )
    oldest = max(at for symbol in counted if (at := starts[symbol]) is not None)
    start = floor_to_timeframe(oldest + lookback + day - width, "1d")
    check_no_look_ahead(strategy, candles, decide(strategy, candles))
    first = int((start - begin) // width)
    return Searched(search(strategy, candles, counted, first, rules, plan, show), counted, start, end)


def longest_lookback(strategy: Strategy) -> int:
    """Return how many candles any parameters of the search space look back at most."""
    space = strategy.calc_search_space()
    return type(strategy).model_validate({name: values[-1] for name, values in space.items()}).lookback


def _find_start(candles: CandleMatrix, symbol: str) -> datetime | None:
    there = np.flatnonzero(np.isfinite(candles.close[candles.row_of(symbol)]))
    return to_aware(candles.opened_at[there[0]]) if len(there) else None
