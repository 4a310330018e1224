"""What a series needs, judged from what is on record of it; costs nothing but arithmetic."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from lib.market.series import Series, SeriesState
from lib.market.timeframes import calc_newest_closed, floor_to_timeframe
from lib.units import EPOCH

DAY = timedelta(days=1)


def is_behind(series: Series, state: SeriesState, now: datetime) -> bool:
    """Return whether a closed candle is newer than the newest stored one."""
    newest_at = state.status.newest_at
    return newest_at is None or newest_at < calc_newest_closed(now, series.timeframe)


def is_audit_due(series: Series, state: SeriesState, now: datetime) -> bool:
    """Return whether the series was not audited yet on this UTC day, and its time of the day has come.

    Each series has its own time of the day, so that the audits of hundreds do not fall into one run.
    """
    audited_at = state.status.audited_at
    if state.status.newest_at is None or (audited_at is not None and audited_at.date() >= now.date()):
        return False
    seconds = zlib.crc32(str(series).encode()) % int(DAY.total_seconds())
    return audited_at is None or (now - EPOCH) % DAY >= timedelta(seconds=seconds) or now - audited_at >= DAY


def find_start(series: Series, history: timedelta, now: datetime) -> datetime:
    """Return the open time at which a history of this length begins."""
    return floor_to_timeframe(now - history, series.timeframe)


def find_wider_start(series: Series, state: SeriesState, history: timedelta, now: datetime) -> datetime | None:
    """Return where the history should begin, if something is stored and less was wanted so far."""
    start = find_start(series, history, now)
    wanted_from = state.status.wanted_from
    if state.status.newest_at is None or (wanted_from is not None and wanted_from <= start):
        return None
    return start


def count_missing(series: Series, state: SeriesState, history: timedelta, now: datetime) -> int:
    """Return how many open times have to be gone over to bring the series up to date."""
    status = state.status
    start = status.newest_at + series.width if status.newest_at else status.wanted_from
    start = start or find_start(series, history, now)
    ahead = calc_newest_closed(now, series.timeframe) + series.width - start
    return max(0, ahead // series.width) + sum(gap.span.count(series.width) for gap in state.gaps if gap.is_due(now))


def is_ahead(series: Series, state: SeriesState, now: datetime) -> bool:
    """Return whether something is stored that the exchange's clock has not reached.

    One candle is the jitter of two measurements; further on, these are candles of another exchange, or of a simulated
    one whose time was set back.
    """
    newest_at = state.status.newest_at
    return newest_at is not None and newest_at > calc_newest_closed(now, series.timeframe) + series.width
