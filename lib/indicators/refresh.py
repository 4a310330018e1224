"""Keeping stored indicators in step with the candles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lib.errors import DatabaseUnavailable, EnvironmentRefused, FksError
from lib.indicators.result import IndicatorsResult, TimeframeIndicators
from lib.indicators.stores import IndicatorStore
from lib.indicators.work import RUN_IN, Work, compute_rows, plan_anew, plan_continued
from lib.ports import Clock
from lib.results import Item, Status, calc_status, failed_item

TASK = "update_indicators"
KEEP = 1000  # rows of a series that is new, and the candles that are watched for changes
BATCH = 250  # symbols at a time: bounds the memory, and what a killed process has to do again
Show = Callable[[int, int, str], None]
logger = logging.getLogger(__name__)


@dataclass
class _Tally:
    """What has been done so far in one timeframe."""

    items: list[Item] = field(default_factory=list)
    computed: int = 0
    rows: int = 0
    newest: list[datetime] = field(default_factory=list)


def update_indicators(
    *,
    store: IndicatorStore,
    clock: Clock,
    symbols: Sequence[str],
    timeframes: Sequence[str],
    keep: int = KEEP,
    show: Show | None = None,
) -> IndicatorsResult:
    """Compute and store the indicators of candles that are new or have changed.

    A series that is new gets rows for its last `keep` candles. Afterwards each run reads the last `keep` candles of
    each series (never fewer than the smoothing needs), whatever else is stored, and:

    * writes rows for candles newer than the last row;
    * when any candle among those read is not what it was at the last run (corrected, late, gone, or older ones have
      come to a young series), writes the rows of the last `keep` candles again, where they differ.

    Rows and how far they go are stored together, so that a killed run is carried on by the next one, and two runs at
    once write the same. The values are those of a computation over the whole history (to a part in 10^9: see
    `lib.indicators.work.RUN_IN`). Rows older than the last `keep` candles stay as they were written.

    Args:
        store: Of candles and indicators.
        clock: Now.
        symbols: Which; one without candles is skipped.
        timeframes: Which.
        keep: See above; candles.
        show: Told ``(done, total, what)`` in series.

    Raises:
        AllItemsFailed: When no series could be computed and at least one failed.
        DatabaseUnavailable: What was stored before stays; trying again is safe.
        EnvironmentRefused: The database's disk is full.
    """
    started_at = clock.now()
    names = list(dict.fromkeys(symbols))
    tallies = {timeframe: _Tally() for timeframe in timeframes}
    total = len(names) * len(tallies)
    for timeframe, tally in tallies.items():
        for start in range(0, len(names), BATCH):
            _refresh_or_single_out(store, names[start : start + BATCH], timeframe, keep, tally)
            if show is not None:
                show(sum(len(one.items) for one in tallies.values()), total, "series")
    items = tuple(item for tally in tallies.values() for item in tally.items)
    return IndicatorsResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts=_count(tallies.values(), items),
        items=items,
        started_at=started_at,
        finished_at=clock.now(),
        timeframes=tuple(_summarise(timeframe, tally) for timeframe, tally in tallies.items()),
    )


def _refresh_or_single_out(
    store: IndicatorStore, symbols: Sequence[str], timeframe: str, keep: int, tally: _Tally
) -> None:
    """Refresh the series together; when that fails, one by one, so that a bad one fails alone."""
    try:
        _refresh(store, symbols, timeframe, keep, tally)
    except (DatabaseUnavailable, EnvironmentRefused):
        raise
    except Exception as error:  # counted as failed items
        if len(symbols) > 1:
            for symbol in symbols:
                _refresh_or_single_out(store, [symbol], timeframe, keep, tally)
            return
        name = f"{symbols[0]} {timeframe}"
        logger.warning("Indicators of %s: %s", name, error, exc_info=None if isinstance(error, FksError) else error)
        tally.items.append(failed_item(name, error))


def _refresh(store: IndicatorStore, symbols: Sequence[str], timeframe: str, keep: int, tally: _Tally) -> None:
    marks = store.load_marks(symbols, timeframe)
    recent = store.load_since({symbol: mark.watched_from for symbol, mark in marks.items()}, timeframe)
    fresh, continued, changed = plan_continued(recent, marks, keep)
    others = [symbol for symbol in symbols if symbol not in marks or symbol in changed]
    anew = plan_anew(store.load_last(others, timeframe, keep + RUN_IN), keep)
    for work in (continued, anew):
        if work.marks:
            tally.rows += store.save(timeframe, compute_rows(work), work.marks)
    computed = {**continued.marks, **anew.marks}
    tally.computed += len(computed)
    tally.newest += [mark.computed_to for mark in (*computed.values(), *(marks[symbol] for symbol in fresh))]
    tally.items += [_to_item(symbol, timeframe, continued, anew, fresh) for symbol in symbols]


def _to_item(symbol: str, timeframe: str, continued: Work, anew: Work, fresh: Collection[str]) -> Item:
    name = f"{symbol} {timeframe}"
    if symbol in continued.marks:
        return Item(name=name, status=Status.OK, detail=f"{continued.count_rows(symbol)} new")
    if symbol in anew.marks:
        return Item(name=name, status=Status.OK, detail=f"the last {anew.count_rows(symbol)} computed anew")
    detail = "fresh" if symbol in fresh else "no candles stored yet; sync_market_data fetches them"
    return Item(name=name, status=Status.SKIPPED, detail=detail)


def _count(tallies: Collection[_Tally], items: Sequence[Item]) -> dict[str, int]:
    return {
        "rows": sum(tally.rows for tally in tallies),
        "series": sum(tally.computed for tally in tallies),
        "indicator series fresh": sum(item.detail == "fresh" for item in items),
    }


def _summarise(timeframe: str, tally: _Tally) -> TimeframeIndicators:
    return TimeframeIndicators(
        timeframe=timeframe,
        series=len(tally.newest),
        computed=tally.computed,
        rows=tally.rows,
        newest_at=min(tally.newest, default=None),
    )
