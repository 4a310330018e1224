"""Parity of live signals: `check_parity`."""

from __future__ import annotations

import asyncio

from lib.platform import Platform
from lib.strategy import parity
from lib.strategy.deciding import News
from lib.strategy.parity import ParityOptions
from lib.strategy.parity_report import ParityResult


async def check_parity(platform: Platform, strategy: str | None = None) -> ParityResult:
    """Recompute yesterday's signals of one strategy or of all, and record alerts of those that differ."""
    settings, analysis = platform.settings, platform.analysis
    least = settings.signal_min_sentiment
    return await asyncio.to_thread(
        parity.check_parity,
        symbols=settings.symbols,
        history=analysis.history,
        strategies=analysis.strategies,
        signals=analysis.signals,
        market=platform.market,
        news=News(analysis.sentiment, least) if least is not None else None,
        clock=platform.clock,
        options=ParityOptions(settings.timeframes, settings.signal_timeframe, strategy),
    )
