"""A series: the candles of one symbol in one timeframe, and what is known to be stored of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from lib.market.gaps import Gap
from lib.market.timeframes import width_of


class Series(NamedTuple):
    """One symbol in one timeframe; its text is "BTC/USDT 1h"."""

    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.symbol} {self.timeframe}"

    @property
    def width(self) -> timedelta:
        """Width of one candle."""
        return width_of(self.timeframe)


@dataclass(frozen=True)
class SyncStatus:
    """What is stored of a series, and how its last synchronisation went.

    Between `wanted_from` and `newest_at` every candle is stored or covered by a gap.

    Attributes:
        oldest_at: Open time of the oldest stored candle.
        newest_at: Open time of the newest stored candle.
        wanted_from: Start of the history that was asked for.
        candle_count: Stored candles.
        synced_at: Last success, exchange time.
        audited_at: When the stored range was last searched for holes, exchange time.
        error: What went wrong last; None after a success.
        consecutive_failures: Failures since the last success.
    """

    oldest_at: datetime | None = None
    newest_at: datetime | None = None
    wanted_from: datetime | None = None
    candle_count: int = 0
    synced_at: datetime | None = None
    audited_at: datetime | None = None
    error: str | None = None
    consecutive_failures: int = 0


@dataclass(frozen=True)
class SeriesState:
    """A series' status and its open gaps, rising in time."""

    status: SyncStatus = SyncStatus()
    gaps: tuple[Gap, ...] = ()
