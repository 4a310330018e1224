"""What a synchronisation reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.errors import RetryableError
from lib.market.needs import is_behind
from lib.market.outcome import FRESH, Outcome, describe_error
from lib.market.quarantine import SymbolReview
from lib.market.series import Series, SeriesState
from lib.results import Item, Status, TaskResult


class TimeframeSummary(BaseModel):
    """What is stored of all symbols in one timeframe.

    Attributes:
        timeframe: Which.
        series: Symbols looked at.
        behind: Those that lack a closed candle.
        candles: Stored altogether.
        open_gaps: Runs of missing candles that are still asked for.
        newest_at: Open time of the newest stored candle, of the symbol that is furthest behind.
    """

    model_config = ConfigDict(frozen=True)

    timeframe: str
    series: int
    behind: int
    candles: int
    open_gaps: int
    newest_at: datetime | None


class SyncResult(TaskResult):
    """The record of sync_market_data and backfill_market_data.

    Attributes:
        exchange_at: Exchange time at the end.
        clock_offset_ms: Exchange time minus ours; the caller alerts when it is large.
        requests: Requests for candles.
        quarantined: Symbols newly found not to trade.
        released: Symbols that trade again.
        timeframes: What is stored now.
    """

    exchange_at: datetime
    clock_offset_ms: int
    requests: int
    quarantined: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    timeframes: tuple[TimeframeSummary, ...] = ()

    def render_tables(self) -> list[str]:
        """Render one row a timeframe: how complete and how fresh the candles are."""
        rows = [
            (one.timeframe, one.series, one.behind, f"{one.candles:,}", one.open_gaps, _render_instant(one.newest_at))
            for one in self.timeframes
        ]
        headers = ("timeframe", "series", "behind", "candles", "open gaps", "newest candle (UTC)")
        return [tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)] if rows else []


def list_items(
    wanted: Sequence[Series],
    outcomes: Mapping[Series, Outcome],
    review: SymbolReview,
    *,
    now: datetime,
    settle: timedelta,
) -> list[Item]:
    """Return one item a series, and one for the list of symbols when it could not be refreshed."""
    items = []
    if review.error is not None:
        retryable = isinstance(review.error, RetryableError)
        detail = describe_error(review.error)
        items.append(Item(name="symbols", status=Status.FAILED, detail=detail, retryable=retryable))
    for series in wanted:
        outcome = outcomes.get(series)
        obstacle = review.find_obstacle(series.symbol) or ""
        is_stopped = series.symbol in review.quarantined and (outcome is None or outcome.is_late)
        if is_stopped:
            status = Status.PARTIAL if outcome is not None and outcome.inserted else Status.FAILED
            items.append(Item(name=str(series), status=status, detail=obstacle))
        elif outcome is not None:
            items.append(outcome.to_item(series, now=now, settle=settle))
        else:
            items.append(Item(name=str(series), status=Status.SKIPPED, detail=obstacle))
    return items


def count_outcomes(outcomes: Iterable[Outcome], quarantined: int) -> dict[str, int]:
    """Return what was done, in the words of a run's name."""
    told = list(outcomes)
    return {
        "candles": sum(outcome.inserted for outcome in told),
        "revised": sum(outcome.revised for outcome in told),
        "gaps found": sum(outcome.gaps_found for outcome in told),
        "verified absent": sum(outcome.verified_absent for outcome in told),
        "impossible": sum(len(outcome.rejected) for outcome in told),
        "late": sum(outcome.late_since is not None for outcome in told),
        "fresh": sum((outcome.skipped or "").startswith(FRESH) for outcome in told),
        "quarantined": quarantined,
    }


def summarize_timeframes(states: Mapping[Series, SeriesState], now: datetime) -> tuple[TimeframeSummary, ...]:
    """Return what is stored, one summary a timeframe."""
    by_timeframe: dict[str, list[tuple[Series, SeriesState]]] = {}
    for series, state in states.items():
        by_timeframe.setdefault(series.timeframe, []).append((series, state))
    return tuple(
        TimeframeSummary(
            timeframe=timeframe,
            series=len(pairs),
            behind=sum(is_behind(series, state, now) for series, state in pairs),
            candles=sum(state.status.candle_count for _, state in pairs),
            open_gaps=sum(len(state.gaps) for _, state in pairs),
            newest_at=min((state.status.newest_at for _, state in pairs if state.status.newest_at), default=None),
        )
        for timeframe, pairs in by_timeframe.items()
    )


def _render_instant(instant: datetime | None) -> str:
    return instant.strftime("%Y-%m-%d %H:%M") if instant else "none"
