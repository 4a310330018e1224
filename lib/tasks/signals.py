"""Signals: `generate_signals`."""

from __future__ import annotations

import asyncio

from lib.errors import SettingsError
from lib.platform import Platform
from lib.results import calc_status, failed_item
from lib.settings import Settings
from lib.strategy import signals
from lib.strategy.signal_report import SignalsResult
from lib.strategy.signals import SignalOptions
from lib.strategy.sizing import SizingRules


async def generate_signals(platform: Platform, timeframe: str | None = None) -> SignalsResult:
    """Let every active strategy decide on the last closed candle, and size its BUYs for all accounts.

    There is one message for all of them, and it is told once: a run for one account would take it from the others.

    Args:
        platform: The parts.
        timeframe: None means the settings'.

    Raises:
        SettingsError: Candles of the timeframe are not kept.
    """
    settings, analysis = platform.settings, platform.analysis
    if timeframe and timeframe not in settings.timeframes:
        kept = ", ".join(settings.timeframes)
        raise SettingsError(
            f"Expected one of the timeframes kept ({kept}), was {timeframe}. Add it to FKS_HISTORY_DAYS."
        )
    result = await asyncio.to_thread(
        signals.generate_signals,
        accounts=tuple(platform.accounts),
        symbols=settings.symbols,
        timeframe=timeframe or settings.signal_timeframe,
        history=analysis.history,
        indicators=analysis.indicators,
        strategies=analysis.strategies,
        signals=analysis.signals,
        states=analysis.states,
        market=platform.market,
        sentiment=analysis.sentiment,
        clock=platform.clock,
        options=signal_options_of(settings),
    )
    if not platform.refused_accounts:
        return result
    items = (*result.items, *(failed_item(name, error) for name, error in platform.refused_accounts.items()))
    return result.model_copy(update={"items": items, "status": calc_status(result.task, items)})


def signal_options_of(settings: Settings) -> SignalOptions:
    """Return how the settings want BUYs sized."""
    sizing = SizingRules(
        risk_per_trade_ratio=settings.risk_per_trade_pct / 100,
        cash_reserve_ratio=settings.cash_reserve_pct / 100,
        max_position_ratio=settings.max_position_pct / 100,
        fee_ratio=settings.fee_pct / 100,
    )
    return SignalOptions(sizing=sizing, min_sentiment=settings.signal_min_sentiment)
