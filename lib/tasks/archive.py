"""The archive: `archive_old_data` and `restore_archive`. Imports pyarrow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from lib.archive import archiving, restoring
from lib.archive.archiving import Retention
from lib.archive.messages import write_incomplete
from lib.archive.partitions import Dataset
from lib.archive.report import ArchiveResult
from lib.archive.stores import Prunable
from lib.indicators.work import RUN_IN
from lib.platform import Platform, Show
from lib.reporting.pages import prune_pages
from lib.results import extend
from lib.settings import Settings
from lib.units import to_utc


async def archive_old_data(platform: Platform, *, dry_run: bool = False, show: Show | None = None) -> ArchiveResult:
    """Move old candles and indicators to the archive, delete other old rows and pages, and tell people of what failed.

    Args:
        platform: The parts.
        dry_run: Only say what would be done.
        show: Told ``(done, total, what)``.
    """
    result = await asyncio.to_thread(
        archiving.archive_old_data,
        archive=platform.archive,
        clock=platform.clock,
        retention=retention_of(platform.settings),
        dry_run=dry_run,
        show=show,
    )
    before = platform.clock.now() - timedelta(days=platform.settings.page_days)
    pages = await asyncio.to_thread(prune_pages, platform.settings.home, before, dry_run=dry_run)
    result = extend(result, [pages])
    if result.failed:
        platform.notifications.record(write_incomplete(result, platform.clock.now()))
    return result


async def restore_archive(
    platform: Platform,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    *,
    start: datetime,
    end: datetime | None,
    keep_days: int,
    show: Show | None = None,
) -> ArchiveResult:
    """Bring archived months back into the database for a while.

    Args:
        platform: The parts.
        symbols: None means all that are archived.
        timeframes: None means all that are archived.
        start: UTC where it has no time zone.
        end: UTC where it has no time zone; None means now.
        keep_days: How long they stay.
        show: Told ``(done, total, what)``.
    """
    return await asyncio.to_thread(
        restoring.restore_archive,
        archive=platform.archive,
        clock=platform.clock,
        start=to_utc(start),
        end=to_utc(end) if end else platform.clock.now(),
        symbols=symbols,
        timeframes=timeframes,
        keep=timedelta(days=keep_days),
        show=show,
    )


def retention_of(settings: Settings) -> Retention:
    """Return how long the settings want what to stay; what indicators are computed from stays in any case."""
    return Retention(
        kept={Dataset.CANDLES: settings.candle_retention, Dataset.INDICATORS: settings.indicator_retention},
        spared=settings.indicator_rows + RUN_IN,
        pruned={
            Prunable.HOLD_SIGNALS: timedelta(days=settings.hold_signal_days),
            Prunable.ATTACHMENTS: timedelta(days=settings.attachment_days),
            Prunable.NEWS: timedelta(days=settings.news_days),
        },
    )
