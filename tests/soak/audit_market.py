"""Every candle that is stored, archived or called absent, against the exchange's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from lib.adapters.database.overview import StoredSeries, load_series
from lib.market.timeframes import floor_to_timeframe
from lib.tasks import archive
from lib.units import to_milliseconds
from tests.soak.log import Log
from tests.soak.stage import MAINS, Stage

PAGE = 1000
Numbers = tuple[float, ...]


async def audit_market(stage: Stage, log: Log) -> None:
    """Bring all archived months back, then compare all that is stored, and look for what is not."""
    if stage.query("SELECT FROM archive_manifest LIMIT 1"):
        result = await archive.restore_archive(
            stage.platform, None, None, start=datetime(2000, 1, 1, tzinfo=UTC), end=None, keep_days=1
        )
        log.take("restore_archive, at the end", result, stage.clock.now())
        log.events["archived months brought back"] += len(result.items)
        for item in result.failed:
            log.breach(f"the archive: {item.name}: {item.detail}")
    for one in load_series(stage.engine):
        _audit_series(stage, log, one)


def _audit_series(stage: Stage, log: Log, one: StoredSeries) -> None:
    if one.open_gaps or one.error or one.archived:
        log.breach(f"{one.series}: {one.open_gaps} in open gaps, {one.archived} still archived, error {one.error}")
    stored, gaps = _load_candles(stage, one), _load_absent(stage, one)
    if not stored or one.wanted_from is None:
        log.breach(f"{one.series}: nothing is stored")
        return
    missing = [at for at in _list_opens(one.wanted_from, max(stored), one) if at not in stored and not _is_in(at, gaps)]
    if missing:
        log.breach(f"{one.series}: {len(missing)} candles missing unexplained, the first at {missing[0]:%m-%d %H:%M}")
    theirs = dict(_read_klines(stage, one, min(stored), max(stored) + one.series.width))
    differing = [at for at, numbers in stored.items() if theirs.get(at) != numbers and at != _find_passing(one, stored)]
    if differing:
        at = min(differing)
        log.breach(
            f"{one.series}: {len(differing)} stored candles differ from the exchange's, the first at "
            f"{at:%m-%d %H:%M}: {stored[at]} and {theirs.get(at)}"
        )
    wrong = [at for at in theirs if _is_in(at, gaps)]
    if wrong:
        log.breach(f"{one.series}: {len(wrong)} candles called absent exist, the first at {min(wrong):%m-%d %H:%M}")
    log.events["candles compared with the exchange's"] += len(stored)
    log.events["candles verified absent"] += sum((end - start) // one.series.width for start, end in gaps)


def _load_candles(stage: Stage, one: StoredSeries) -> dict[datetime, Numbers]:
    query = "SELECT * FROM candles WHERE symbol = :symbol AND timeframe = :timeframe"
    rows = stage.query(query, **one.series._asdict())
    return {row.opened_at: (row.open, row.high, row.low, row.close, row.volume) for row in rows}


def _load_absent(stage: Stage, one: StoredSeries) -> list[tuple[datetime, datetime]]:
    query = (
        "SELECT starts_at, ends_at FROM candle_gaps WHERE symbol = :symbol AND timeframe = :timeframe "
        "AND state = 'verified_absent'"
    )
    return [(row.starts_at, row.ends_at) for row in stage.query(query, **one.series._asdict())]


def _find_passing(one: StoredSeries, stored: Mapping[datetime, Numbers]) -> datetime | None:
    """Return the newest candle where the exchange gives minutes back after the close: it is asked for with the next."""
    return max(stored) if one.series.symbol.partition("/")[0] in MAINS else None


def _list_opens(start: datetime, end: datetime, one: StoredSeries) -> Iterator[datetime]:
    at = floor_to_timeframe(start, one.series.timeframe)
    at += one.series.width if at < start else timedelta()
    while at <= end:
        yield at
        at += one.series.width


def _is_in(at: datetime, spans: Sequence[tuple[datetime, datetime]]) -> bool:
    return any(start <= at < end for start, end in spans)


def _read_klines(stage: Stage, one: StoredSeries, start: datetime, end: datetime) -> Iterator[tuple[datetime, Numbers]]:
    with httpx.Client(base_url=stage.url, timeout=60, trust_env=False) as client:
        at = start
        while at < end:
            stage.control.reset_usage()
            asked: dict[str, Any] = {
                "symbol": one.series.symbol.replace("/", ""),
                "interval": one.series.timeframe,
                "startTime": to_milliseconds(at),
                "endTime": to_milliseconds(end) - 1,
                "limit": PAGE,
            }
            rows = client.get("/api/v3/klines", params=asked).raise_for_status().json()
            for row in rows:
                yield datetime.fromtimestamp(row[0] / 1000, UTC), tuple(float(number) for number in row[1:6])
            if len(rows) < PAGE:
                return
            at = datetime.fromtimestamp(rows[-1][0] / 1000, UTC) + timedelta(milliseconds=1)
