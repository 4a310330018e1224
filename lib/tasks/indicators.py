"""Indicators: `update_indicators`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from lib.indicators import refresh
from lib.indicators.result import IndicatorsResult
from lib.platform import Platform, Show


async def update_indicators(
    platform: Platform, symbols: Sequence[str] | None, timeframes: Sequence[str] | None, *, show: Show | None = None
) -> IndicatorsResult:
    """Bring stored indicators into step with the candles.

    Args:
        platform: The parts.
        symbols: None means all that are kept.
        timeframes: None means all that are kept.
        show: Told ``(done, total, what)`` during long work.
    """
    settings = platform.settings
    return await asyncio.to_thread(
        refresh.update_indicators,
        store=platform.analysis.indicators,
        clock=platform.clock,
        symbols=symbols or settings.symbols,
        timeframes=timeframes or settings.timeframes,
        keep=settings.indicator_rows,
        show=show,
    )
