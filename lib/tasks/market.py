"""Candles: `sync_market_data` and `backfill_market_data`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lib.market import sync
from lib.market.run import SyncOptions, SyncProgress
from lib.market.symbols import SymbolGroup
from lib.market.sync_result import SyncResult
from lib.notifications.texts import write_clock_off
from lib.platform import Platform, Show
from lib.settings import Settings
from lib.units import to_utc


async def sync_market_data(
    platform: Platform,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    *,
    repair_for: timedelta | None = None,
    show: Show | None = None,
) -> SyncResult:
    """Bring candles into step with the exchange; tell people when our clock is off.

    Args:
        platform: The parts.
        symbols: None means all that are kept.
        timeframes: None means all that are kept.
        repair_for: How long gaps and older history may take where anything is stored; None: as long as a first history.
        show: Told ``(done, total, what)`` during long work.
    """
    settings = platform.settings
    result = await sync.sync_market_data(
        exchange=platform.exchange,
        store=platform.candles,
        clock=platform.clock,
        options=replace(sync_options_of(settings), repair_for=repair_for),
        symbols=symbols or settings.symbols,
        timeframes=timeframes,
        show=_show_candles(show),
    )
    if abs(result.clock_offset_ms) > settings.clock_offset_alert_ms:
        now = platform.clock.now()
        platform.notifications.record(write_clock_off(platform.exchange.name, result.clock_offset_ms, at=now))
    return result


async def backfill_market_data(
    platform: Platform,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    *,
    start: datetime,
    end: datetime | None,
    show: Show | None = None,
) -> SyncResult:
    """Fetch what is missing in a window, and ask again for what was found absent.

    Args:
        platform: The parts.
        symbols: None means all that are kept.
        timeframes: None means all that are kept.
        start: UTC where it has no time zone.
        end: UTC where it has no time zone; None means now.
        show: Told ``(done, total, what)``.
    """
    settings = platform.settings
    return await sync.backfill_market_data(
        exchange=platform.exchange,
        store=platform.candles,
        clock=platform.clock,
        options=sync_options_of(settings),
        symbols=symbols or settings.symbols,
        timeframes=timeframes or settings.timeframes,
        start=to_utc(start),
        end=to_utc(end) if end else platform.clock.now(),
        verified=True,
        show=_show_candles(show),
    )


def sync_options_of(settings: Settings) -> SyncOptions:
    """Return how the settings want candles synchronised."""
    groups = {SymbolGroup.MAIN: settings.mains, SymbolGroup.ALT: settings.alts}
    return SyncOptions(
        history={timeframe: timedelta(days=days) for timeframe, days in settings.history_days.items()},
        groups={f"{asset}/{settings.quote_asset}": group for group, assets in groups.items() for asset in assets},
        concurrency=settings.exchange_concurrency,
        wait=timedelta(seconds=settings.sync_wait_seconds),
        settle=timedelta(seconds=settings.gap_settle_seconds),
    )


def _show_candles(show: Show | None) -> Callable[[SyncProgress], None]:
    def show_candles(progress: SyncProgress) -> None:
        if show is None:
            return
        series = f"{progress.series_done} of {progress.series_total} series, candles"
        show(progress.candles_done, progress.candles_expected, series)

    return show_candles
