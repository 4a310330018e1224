"""Validation: `validate_strategies`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import numpy as np

from lib.errors import DataError
from lib.market.timeframes import calc_newest_closed, width_of
from lib.notifications.messages import Attachment
from lib.platform import Platform
from lib.ports import Clock
from lib.reporting.backtest_chart import draw_backtest
from lib.research import validation
from lib.research.backtest import LEAST_BARS, Backtest, backtest
from lib.research.look_ahead import Show
from lib.research.rules import TradingRules
from lib.research.validation import ValidationResult
from lib.research.verdict import ValidationLimits
from lib.settings import Settings
from lib.strategy.roster import register_strategies
from lib.strategy.stores import StoredStrategy
from lib.tasks.research import SPARE, Stores, make_rules, make_strategy

OLDEST = timedelta(days=1)  # a symbol's newest candle may be, or its market is not judged by


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
        StrategyRefused: The strategy's code or parameters cannot be used.
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
        deflated_sharpe=settings.promotion_min_deflated_sharpe,
        overfitting=float(settings.promotion_max_overfitting_pct) / 100,
    )
