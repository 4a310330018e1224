"""Research: `fks backtest`, and what all of research starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from pydantic import ValidationError

from lib.errors import DataError, SettingsError, StrategyRefused
from lib.market.matrix import CandleHistory, CandleMatrix
from lib.market.timeframes import calc_newest_closed, width_of
from lib.portfolio.stores import MarketFacts
from lib.ports import Clock
from lib.research.backtest import Backtest, backtest
from lib.research.look_ahead import Show
from lib.research.rules import TradingRules, rules_of
from lib.settings import Settings
from lib.strategy.registry import STRATEGIES
from lib.strategy.stores import StrategyStore
from lib.strategy.strategy import Strategy
from lib.tasks.signals import signal_options_of

MIN_NOTIONAL = 5.0  # Binance's for most symbols; where the exchange told none
SPARE = 1.05  # of the run-in, for missing candles


@dataclass(frozen=True)
class Stores:
    """What a backtest reads.

    Attributes:
        history: Candles.
        strategies: The parameters in force.
        market: The exchange's least notional.
    """

    history: CandleHistory
    strategies: StrategyStore
    market: MarketFacts


@dataclass(frozen=True)
class Request:
    """What is to be tested.

    Attributes:
        strategy: Its name.
        symbols: Traded from one cash account.
        timeframe: None means that of the signals.
        days: Of the window, up to now.
        parameters: In place of those in force, by name, as text.
    """

    strategy: str
    symbols: Sequence[str]
    timeframe: str | None = None
    days: int = 365
    parameters: Mapping[str, str] = field(default_factory=dict)


def run_one(
    request: Request, stores: Stores, settings: Settings, clock: Clock, rules: TradingRules, show: Show
) -> Backtest:
    """Test one strategy on stored candles.

    Args:
        request: What is to be tested.
        stores: What is read.
        settings: The symbols and timeframes kept.
        clock: Now.
        rules: Costs and sizes, as `make_rules` gives them.
        show: Told ``(done, total, what)``.

    Raises:
        StrategyRefused: An unknown strategy, or parameters out of bounds, or a strategy that cannot be trusted.
        SettingsError: Candles of the timeframe are not kept.
        DataError: An unknown symbol, or too little history.
    """
    names = {one.name: one.parameters for one in stores.strategies.load_strategies()}
    strategy = make_strategy(request.strategy, request.parameters, names.get(request.strategy, {}))
    timeframe = request.timeframe or settings.signal_timeframe
    if timeframe not in settings.timeframes:
        kept = ", ".join(settings.timeframes)
        raise SettingsError(f"Expected one of the timeframes kept ({kept}), was {timeframe}.")
    symbols = list(dict.fromkeys(request.symbols))
    universe = list(dict.fromkeys([*symbols, *(settings.symbols if strategy.reads_market else ())]))
    show(0, 1, "reading candles")
    now, width = clock.now(), width_of(timeframe)
    end = calc_newest_closed(now, timeframe) + width
    start = end - timedelta(days=request.days)
    begin = start - int(SPARE * strategy.lookback + 1) * width
    candles = stores.history.load_matrix(universe, timeframe, begin, end)
    _check_stored(candles, symbols, settings)
    return backtest(strategy, candles, symbols, start, rules, show)


def make_strategy(name: str, changes: Mapping[str, str], stored: Mapping[str, Any]) -> Strategy:
    """Return a strategy with the stored parameters, its defaults for others, and the changes in their place.

    Raises:
        StrategyRefused: There is no such strategy or parameter, or a value is out of its bounds.
    """
    if name not in STRATEGIES:
        raise StrategyRefused(f"Unknown strategy {name!r}. Expected one of {', '.join(STRATEGIES)}.")
    kind = STRATEGIES[name]
    if unknown := sorted(set(changes) - set(kind.model_fields)):
        known = ", ".join(kind.model_fields)
        raise StrategyRefused(f"{name} has no parameter {', '.join(unknown)}. Expected some of {known}.")
    try:
        return kind.model_validate({**stored, **changes})
    except ValidationError as error:
        problems = "; ".join(_describe(kind, str(one["loc"][0]), one["input"], one["msg"]) for one in error.errors())
        raise StrategyRefused(f"{name}: {problems}.") from None


def make_rules(stores: Stores, settings: Settings, symbols: Sequence[str]) -> TradingRules:
    """Return the costs and sizes of the settings, with the largest of the symbols' least notionals."""
    least = [one.min_notional for one in stores.market.load_listings(symbols).values() if one.min_notional is not None]
    return rules_of(
        signal_options_of(settings).sizing,
        cash=float(settings.backtest_cash),
        slippage_ratio=float(settings.backtest_slippage_pct) / 100,
        min_notional=float(max(least)) if least else MIN_NOTIONAL,
    )


def _describe(kind: type[Strategy], name: str, given: object, problem: str) -> str:
    values = kind.calc_search_space().get(name)
    bounds = f"expected {values[0]:g} to {values[-1]:g}, was {given}" if values else problem
    return f"{name}: {bounds}"


def _check_stored(candles: CandleMatrix, symbols: Sequence[str], settings: Settings) -> None:
    for symbol in symbols:
        if not np.isfinite(candles.close[candles.row_of(symbol)]).any():
            kept = ", ".join(settings.symbols)
            raise DataError(
                f"No {candles.timeframe} candle of {symbol} is stored in this window. Symbols kept: {kept}; "
                "backfill_market_data fetches others."
            )
