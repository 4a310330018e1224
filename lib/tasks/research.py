"""Research: `fks backtest`, `validate_strategies`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from pydantic import ValidationError

from lib.errors import DataError, OperatorError, SettingsError
from lib.market.matrix import CandleHistory, CandleMatrix
from lib.market.timeframes import calc_newest_closed, width_of
from lib.notifications.messages import Attachment
from lib.platform import Platform
from lib.portfolio.stores import MarketFacts
from lib.ports import Clock
from lib.reporting.backtest_chart import draw_backtest
from lib.research import validation
from lib.research.backtest import LEAST_BARS, Backtest, backtest
from lib.research.look_ahead import Show
from lib.research.rules import TradingRules, rules_of
from lib.research.validation import ValidationResult
from lib.research.verdict import ValidationLimits
from lib.settings import Settings
from lib.strategy.registry import STRATEGIES
from lib.strategy.roster import register_strategies
from lib.strategy.stores import StoredStrategy, StrategyStore
from lib.strategy.strategy import Strategy
from lib.tasks.signals import signal_options_of

MIN_NOTIONAL = 5.0  # Binance's for most symbols; where the exchange told none
OLDEST = timedelta(days=1)  # a symbol's newest candle may be, or its market is not judged by
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
        OperatorError: An unknown strategy, or parameters out of bounds, or a strategy that cannot be trusted.
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
        OperatorError: There is no such strategy or parameter, or a value is out of its bounds.
    """
    if name not in STRATEGIES:
        raise OperatorError(f"Unknown strategy {name!r}. Expected one of {', '.join(STRATEGIES)}.")
    kind = STRATEGIES[name]
    if unknown := sorted(set(changes) - set(kind.model_fields)):
        known = ", ".join(kind.model_fields)
        raise OperatorError(f"{name} has no parameter {', '.join(unknown)}. Expected some of {known}.")
    try:
        return kind.model_validate({**stored, **changes})
    except ValidationError as error:
        problems = "; ".join(_describe(kind, str(one["loc"][0]), one["input"], one["msg"]) for one in error.errors())
        raise OperatorError(f"{name}: {problems}.") from None


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


async def validate_strategies(platform: Platform, strategy: str | None, show: Show) -> ValidationResult:
    """Judge strategies on recent data, all symbols from one cash account; those of the code are registered first."""
    settings, clock = platform.settings, platform.clock
    stores = Stores(platform.analysis.history, platform.analysis.strategies, platform.market)

    def work() -> ValidationResult:
        register_strategies(stores.strategies, clock.now())
        rules = make_rules(stores, settings, settings.symbols)
        return validation.validate_strategies(
            strategy=strategy,
            judge=lambda one: judge_recent(one, stores, settings, clock, rules),
            draw=lambda done: Attachment(f"{done.strategy.name}.png", "image/png", draw_backtest(done, most_prices=0)),
            store=stores.strategies,
            limits=limits_of(settings),
            clock=clock,
            show=show,
        )

    return await asyncio.to_thread(work)


def judge_recent(
    one: StoredStrategy, stores: Stores, settings: Settings, clock: Clock, rules: TradingRules
) -> Backtest:
    """Test a strategy with its own parameters on the recent days of every symbol that has enough history.

    Raises:
        DataError: No symbol has enough candles, or none a recent one.
        OperatorError: The strategy's code or parameters cannot be used.
    """
    strategy = make_strategy(one.name, {}, one.parameters)
    width = width_of(settings.signal_timeframe)
    end = calc_newest_closed(clock.now(), settings.signal_timeframe) + width
    start = end - timedelta(days=settings.validation_days)
    begin = start - int(SPARE * strategy.lookback + 1) * width
    candles = stores.history.load_matrix(settings.symbols, settings.signal_timeframe, begin, end)
    recent = len(candles.opened_at) - OLDEST // width
    symbols = [
        symbol
        for symbol, closes in zip(candles.symbols, candles.close, strict=True)
        if np.isfinite(closes).sum() >= strategy.lookback + LEAST_BARS and np.isfinite(closes[recent:]).any()
    ]
    if not symbols:
        raise DataError(
            f"No symbol has {strategy.lookback + LEAST_BARS} {settings.signal_timeframe} candles up to the last day, "
            f"so {one.name} cannot be judged. See sync_market_data, or wait for the history."
        )
    return backtest(strategy, candles, symbols, start, rules)


def limits_of(settings: Settings) -> ValidationLimits:
    """Return what the settings want strategies to reach."""
    return ValidationLimits(
        sharpe=settings.validation_min_sharpe,
        total_return=settings.validation_min_return_pct / 100,
        drawdown=float(settings.validation_max_drawdown_pct) / 100,
        trades=settings.validation_min_trades,
    )
