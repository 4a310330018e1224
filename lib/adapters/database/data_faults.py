"""What is missing or old of the stored market data, symbol by symbol: for `fks doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from lib.adapters.database.engine import database_errors
from lib.health.stores import Watched
from lib.market.timeframes import calc_newest_closed, width_of

SERIES = text("""
    SELECT wanted.symbol, wanted.timeframe, coalesce(symbols.status, 'trading') AS status, status.newest_at,
        status.error, gaps.candles, gaps.starts_at, gaps.ends_at
    FROM (
        SELECT symbol, timeframe
        FROM unnest(CAST(:symbols AS text[])) AS s (symbol)
        CROSS JOIN unnest(CAST(:timeframes AS text[])) AS t (timeframe)
    ) AS wanted
    LEFT JOIN sync_status AS status USING (symbol, timeframe)
    LEFT JOIN symbols ON symbols.name = wanted.symbol
    LEFT JOIN LATERAL (
        SELECT sum(ends_at - starts_at) AS candles, min(starts_at) AS starts_at, max(ends_at) AS ends_at
        FROM candle_gaps AS gap
        WHERE gap.symbol = wanted.symbol AND gap.timeframe = wanted.timeframe AND state = 'open'
          AND found_at <= :settled
    ) AS gaps ON true
    ORDER BY wanted.symbol
""")


@dataclass(frozen=True)
class Gap:
    """Candles of a series that are missing in between, from the first missing one's open time to the last one's end."""

    candles: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class SeriesFault:
    """What is wrong with one series.

    Attributes:
        symbol: "BTC/USDT".
        timeframe: "1h".
        trades: Whether the exchange trades the symbol; else it gets no candles.
        newest_at: Open time of the newest candle; None without any.
        behind: Closed candles after it that are missing; 0 without any.
        error: Why the last synchronisation failed; None when it did not.
        gap: What is missing in between, and has been for a while; None when nothing is.
    """

    symbol: str
    timeframe: str
    trades: bool
    newest_at: datetime | None
    behind: int
    error: str | None
    gap: Gap | None


def load_series(engine: Engine, watched: Watched, now: datetime, settled: datetime) -> Sequence[SeriesFault]:
    """Return every series that is watched, with what is wrong of it, by symbol.

    Args:
        engine: Of our database.
        watched: What the settings name.
        now: UTC.
        settled: A gap that was found later is not told: the next runs may fill it.

    Raises:
        DatabaseUnavailable: The connection is refused or lost.
    """
    given = {"symbols": list(watched.symbols), "timeframes": list(watched.timeframes), "settled": settled}
    with database_errors("looking for missing data"), engine.connect() as connection:
        rows = connection.execute(SERIES, given).all()
    found = []
    for row in rows:
        width = width_of(row.timeframe)
        behind = 0 if row.newest_at is None else (calc_newest_closed(now, row.timeframe) - row.newest_at) // width
        gap = Gap(row.candles // width, row.starts_at, row.ends_at) if row.candles else None
        trades = row.status == "trading"
        found.append(SeriesFault(row.symbol, row.timeframe, trades, row.newest_at, max(0, behind), row.error, gap))
    return found
