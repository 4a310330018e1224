"""Kline intervals and their alignment: days and below to the epoch, weeks to Monday, months to the calendar (UTC)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from lib.simulator.arrays import Integers

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # 1970-01-05, the first Monday

FIXED: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": WEEK_MS,
}
NAMES = (*FIXED, "1M")
CHUNK_ROWS = 240  # candles rendered and cached together, about,
CHUNK_DAYS = 42  # but so many days at most: drawing them holds up every other request


def floor_to_interval(instant_ms: int, interval: str) -> int:
    """Return the open time of the candle that holds an instant."""
    if interval == "1M":
        day = datetime.fromtimestamp(instant_ms / 1000, UTC)
        return _month_start(day.year * 12 + day.month - 1)
    offset = MONDAY_MS if interval == "1w" else 0
    return (instant_ms - offset) // FIXED[interval] * FIXED[interval] + offset


def next_open(open_ms: int, interval: str) -> int:
    """Return the open time of the candle after the one that opens at `open_ms`."""
    if interval == "1M":
        return floor_to_interval(open_ms + 32 * DAY_MS, "1M")
    return open_ms + FIXED[interval]


def floor_all(opens_ms: Integers, interval: str) -> Integers:
    """Return the open times of the candles that hold each instant, shape `(n,)`."""
    if interval == "1M":
        months = opens_ms.astype("datetime64[ms]").astype("datetime64[M]")
        return months.astype("datetime64[ms]").astype(np.int64)
    offset = MONDAY_MS if interval == "1w" else 0
    width = FIXED[interval]
    return (opens_ms - offset) // width * width + offset


def next_all(opens_ms: Integers, interval: str) -> Integers:
    """Return the next open time for each open time, shape `(n,)`."""
    if interval == "1M":
        return floor_all(opens_ms + 32 * DAY_MS, "1M")
    return opens_ms + FIXED[interval]


def chunk_of(instant_ms: int, interval: str) -> tuple[int, int]:
    """Return the half-open span of whole candles that are rendered together with the one at `instant_ms`."""
    if interval == "1M":
        year = datetime.fromtimestamp(instant_ms / 1000, UTC).year
        return _month_start(year * 12), _month_start((year + 1) * 12)
    offset = MONDAY_MS if interval == "1w" else 0
    width = FIXED[interval]
    # Whole days below a day, so that a chunk never shares a day of the path with its neighbour.
    unit = max(width, DAY_MS)
    span = max(1, min(width * CHUNK_ROWS, CHUNK_DAYS * DAY_MS) // unit) * unit
    start = (instant_ms - offset) // span * span + offset
    return start, start + span


def _month_start(months: int) -> int:
    """Return the first instant of a month counted from year 0."""
    return int(datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000
