"""Timeframes: fixed candle widths, aligned to the Unix epoch in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from lib.errors import SettingsError
from lib.units import EPOCH

WIDTHS: dict[str, timedelta] = {
    "1m": timedelta(minutes=1),
    "3m": timedelta(minutes=3),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "2h": timedelta(hours=2),
    "4h": timedelta(hours=4),
    "6h": timedelta(hours=6),
    "8h": timedelta(hours=8),
    "12h": timedelta(hours=12),
    "1d": timedelta(days=1),
}


def width_of(timeframe: str) -> timedelta:
    """Return the width of one candle.

    Raises:
        SettingsError: When the timeframe is not one of `WIDTHS`. Weeks and months are left out on purpose:
            they are not aligned to the epoch, and nothing here needs them.
    """
    try:
        return WIDTHS[timeframe]
    except KeyError:
        raise SettingsError(f"Unknown timeframe {timeframe!r}. Expected one of {', '.join(WIDTHS)}.") from None


def floor_to_timeframe(instant: datetime, timeframe: str) -> datetime:
    """Return the open time of the candle that holds `instant`."""
    width = width_of(timeframe)
    return EPOCH + (instant - EPOCH) // width * width


def calc_newest_closed(now: datetime, timeframe: str) -> datetime:
    """Return the open time of the newest candle that is closed at `now` (exchange time).

    A candle is closed from its close instant on: the 12:00 candle of 5m is closed at 12:05:00.000.
    """
    return floor_to_timeframe(now, timeframe) - width_of(timeframe)
