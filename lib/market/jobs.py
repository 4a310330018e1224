"""What is done with one series: keeping it fresh, or filling a window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lib.errors import DataError
from lib.market.asking import PAGE
from lib.market.gaps import Span
from lib.market.needs import count_missing, find_start, find_wider_start, is_ahead, is_audit_due, is_behind
from lib.market.series import Series, SeriesState
from lib.market.series_sync import SeriesSync
from lib.market.timeframes import floor_to_timeframe

MICROSECOND = timedelta(microseconds=1)


class Job(Protocol):
    """What a run does with each of its series."""

    def needs_work(self, series: Series, state: SeriesState) -> bool:
        """Return whether anything has to be done."""
        ...

    def count_expected(self, series: Series, state: SeriesState) -> int:
        """Return how many open times there are to go over."""
        ...

    def is_urgent(self, sync: SeriesSync) -> bool:
        """Return whether this one goes before all long work."""
        ...

    async def do_urgent(self, sync: SeriesSync) -> None:
        """Do what must not wait."""
        ...

    async def do_rest(self, sync: SeriesSync) -> None:
        """Do what is left."""
        ...


@dataclass(frozen=True)
class KeepFresh:
    """The newest closed candles first, then older history, the daily audit, and gaps.

    Attributes:
        history: By timeframe, how far back candles are wanted.
        now: Tells exchange time.
    """

    history: Mapping[str, timedelta]
    now: Callable[[], datetime]

    def needs_work(self, series: Series, state: SeriesState) -> bool:
        """Return False for a fresh series: nothing newer, nothing older wanted, no gap and no audit due."""
        now = self.now()
        return (
            self._is_out_of_step(series, state)
            or any(gap.is_due(now) for gap in state.gaps)
            or find_wider_start(series, state, self.history[series.timeframe], now) is not None
            or is_audit_due(series, state, now)
        )

    def count_expected(self, series: Series, state: SeriesState) -> int:
        """Return how many open times are missing."""
        return count_missing(series, state, self.history[series.timeframe], self.now())

    def is_urgent(self, sync: SeriesSync) -> bool:
        """Return whether one request brings it up to date."""
        has_candles = sync.state.status.newest_at is not None
        is_short = self.count_expected(sync.series, sync.state) < PAGE
        return has_candles and is_short and self._is_out_of_step(sync.series, sync.state)

    async def do_urgent(self, sync: SeriesSync) -> None:
        """Fetch what is newer than the newest stored candle."""
        now = self.now()
        if is_ahead(sync.series, sync.state, now):
            raise DataError(
                f"The stored candle {sync.state.status.newest_at} is newer than the exchange's time {now.isoformat()}. "
                "Use a database of its own for each exchange and each simulated world."
            )
        await sync.extend(find_start(sync.series, self.history[sync.series.timeframe], now))

    async def do_rest(self, sync: SeriesSync) -> None:
        """Fetch long histories, and see to everything older."""
        if sync.outcome.late_since is None and self._is_out_of_step(sync.series, sync.state):
            await self.do_urgent(sync)
        start = find_wider_start(sync.series, sync.state, self.history[sync.series.timeframe], self.now())
        if start is not None and not sync.must_stop():
            await sync.widen(start)
        if is_audit_due(sync.series, sync.state, self.now()) and not sync.must_stop():
            await sync.audit()
        await sync.repair()

    def _is_out_of_step(self, series: Series, state: SeriesState) -> bool:
        now = self.now()
        return is_behind(series, state, now) or is_ahead(series, state, now)


@dataclass(frozen=True)
class FillWindow:
    """Every candle of a window that a person asks for.

    Attributes:
        start: First instant, rounded down to the timeframe.
        end: Candles that open before it.
        verified: Also ask again for what the exchange was found not to have.
    """

    start: datetime
    end: datetime
    verified: bool

    def needs_work(self, series: Series, state: SeriesState) -> bool:  # noqa: ARG002 the person decided
        """Return True."""
        return True

    def count_expected(self, series: Series, state: SeriesState) -> int:  # noqa: ARG002 the window decides
        """Return how many open times the window has; most may be stored."""
        return self._window(series).count(series.width)

    def is_urgent(self, sync: SeriesSync) -> bool:  # noqa: ARG002 nothing is
        """Return False."""
        return False

    async def do_urgent(self, sync: SeriesSync) -> None:
        """Do nothing."""

    async def do_rest(self, sync: SeriesSync) -> None:
        """Put on record what is missing, and fetch it."""
        await sync.reopen(self._window(sync.series), verified=self.verified)
        await sync.repair()

    def _window(self, series: Series) -> Span:
        last = floor_to_timeframe(self.end - MICROSECOND, series.timeframe)
        return Span(floor_to_timeframe(self.start, series.timeframe), last + series.width)
