"""Bringing one series into step with the exchange, one answer and one transaction at a time.

Two movements do everything: `extend` goes forward from the newest stored candle (or from the start of the wanted
history), `repair` asks again for what is on record as missing. Whatever else there is (an older start, an audit, a
window that a person asks for) only puts on record what is missing and leaves the rest to `repair`. Killed at any point,
the next run carries on from what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lib.market.answers import Answer
from lib.market.asking import PAGE, CandleSource
from lib.market.candles import Candle
from lib.market.gaps import (
    CONFIRMATIONS,
    Gap,
    GapState,
    Seen,
    Span,
    intersect_spans,
    is_inside,
    merge_spans,
    plan_request,
    subtract_spans,
    update_gaps,
)
from lib.market.outcome import Outcome
from lib.market.series import Series, SeriesState, SyncStatus
from lib.market.stores import Inventory, SeriesChange
from lib.market.timeframes import calc_newest_closed
from lib.market.writing import WritingDesk

UNVERIFIABLE = "the exchange's answer ended before it"


@dataclass(frozen=True)
class Tools:
    """What the series of one run share.

    Attributes:
        source: Answers.
        desk: Stores.
        settle: How long after its end a gap may still fill by itself.
        is_time_up: Whether long work should stop here and go on in the next run.
        advance: Told how many open times an answer went over.
    """

    source: CandleSource
    desk: WritingDesk
    settle: timedelta
    is_time_up: Callable[[], bool]
    advance: Callable[[int], None]


class SeriesSync:
    """One series in one run.

    Attributes:
        series: Which.
        state: What is stored now.
        outcome: What was done so far.
    """

    def __init__(self, series: Series, state: SeriesState, tools: Tools) -> None:
        self.series = series
        self.state = state
        self.outcome = Outcome()
        self._tools = tools
        self._width = series.width

    async def extend(self, start: datetime) -> None:
        """Store everything from the newest stored candle on, which is asked for again because it may be revised.

        Args:
            start: Where to begin when nothing is stored.
        """
        status = self.state.status
        if status.newest_at is None:
            start = status.wanted_from or start
            self.state = replace(self.state, status=replace(status, wanted_from=start, audited_at=self._now()))
            await self._extend_from(start, start)
        else:
            await self._extend_from(status.newest_at, status.newest_at + self._width)
        newest_at = self.state.status.newest_at
        if not self.outcome.is_unfinished and (newest_at is None or newest_at < self._newest_closed()):
            missing = newest_at + self._width if newest_at is not None else self._newest_closed()
            self.outcome.late_since = missing + self._width

    async def _extend_from(self, since: datetime, missing_from: datetime) -> None:
        while missing_from <= self._newest_closed():
            limit = min(PAGE, (self._newest_closed() - since) // self._width + 2)
            answer = await self._tools.source.fetch(self.series, since, limit)
            went_until = max(answer.closed_until or missing_from, missing_from)
            refetched = [candle for candle in answer.candles if candle.opened_at < missing_from]
            asked = merge_spans([Span(missing_from, went_until)])
            await self._store(answer, answer.candles[len(refetched) :], asked, refetched)
            if went_until == missing_from:
                return
            since = missing_from = went_until
            if missing_from <= self._newest_closed() and self.must_stop():
                return

    def must_stop(self) -> bool:
        """Tell whether the time for long work is over, when some is left; it is noted that the next run goes on."""
        is_time_up = self._tools.is_time_up()
        self.outcome.is_unfinished = self.outcome.is_unfinished or is_time_up
        return is_time_up

    async def repair(self) -> None:
        """Ask again for every gap that is due; one just found is due at once, to be confirmed by a second answer."""
        while due := merge_spans(gap.span for gap in self.state.gaps if gap.is_due(self._now())):
            while due:
                if self.must_stop():
                    return
                due = await self._ask_for(due)

    async def _ask_for(self, missing: list[Span]) -> list[Span]:
        """Ask once, and return what the answer did not go over."""
        since, limit = plan_request(missing, self._width, PAGE)
        answer = await self._tools.source.fetch(self.series, since, limit)
        if answer.through is None:
            await self._leave_open(missing[0])
            return missing[1:]
        asked = intersect_spans(missing, Span(since, answer.through))
        candles = [candle for candle in answer.candles if is_inside(candle.opened_at, asked)]
        await self._store(answer, candles, asked)
        return subtract_spans(missing, asked)

    async def _leave_open(self, span: Span) -> None:
        """Note that the exchange showed nothing at or behind these gaps, which proves nothing; ask again later."""
        gaps = [
            replace(gap, reason=UNVERIFIABLE, checked_at=self._now()) if intersect_spans([gap.span], span) else gap
            for gap in self.state.gaps
        ]
        await self._commit(self.state.status, gaps)

    async def widen(self, start: datetime) -> None:
        """Put on record what is missing when the wanted history now begins earlier, at `start`."""
        status = self.state.status
        if status.newest_at is None:
            return
        _, missing = await self._search(Span(start, status.wanted_from or status.newest_at + self._width))
        gaps = self._to_gaps(missing, "older history is wanted now")
        await self._commit(replace(status, wanted_from=start), [*self.state.gaps, *gaps])

    async def audit(self) -> None:
        """Compare what is on record with the candles themselves; put every hole in the wanted history on record."""
        status = self.state.status
        if status.oldest_at is None or status.wanted_from is None:
            return
        start = min(status.oldest_at, status.wanted_from)
        inventory, missing = await self._search(Span(start, self._newest_closed() + self._width))
        stored_until = inventory.newest_at + self._width if inventory.newest_at else start
        holes = intersect_spans(missing, Span(status.wanted_from, stored_until))
        self.outcome.gaps_found += len(holes)
        audited = replace(
            status,
            oldest_at=inventory.oldest_at,
            newest_at=inventory.newest_at,
            candle_count=inventory.count,
            audited_at=self._now(),
        )
        await self._commit(audited, [*self.state.gaps, *self._to_gaps(holes, "found by the daily audit")])

    async def reopen(self, window: Span, *, verified: bool) -> None:
        """Make everything that is missing in a window due at once.

        Args:
            window: Aligned. It is stretched to touch what is stored, and ends with the newest closed candle.
            verified: Also ask again for what the exchange was found not to have.

        What is in the archive is left there; restoring it is another matter.
        """
        newest_at = self.state.status.newest_at
        start = min(window.start, newest_at + self._width) if newest_at else window.start
        window = Span(start, min(window.end, self._newest_closed() + self._width))
        if window.start >= window.end:
            return
        _, missing = await self._search(window)
        known = await self._load_gaps(window)
        again = [
            replace(gap, state=GapState.OPEN, checked_at=None, attempts=min(gap.attempts, CONFIRMATIONS - 1))
            for gap in known
            if gap.state is GapState.OPEN or (verified and gap.state is GapState.VERIFIED_ABSENT)
        ]
        archived = intersect_spans([gap.span for gap in known if gap.state is GapState.ARCHIVED], window)
        self.outcome.archived = sum(span.count(self._width) for span in archived)
        others = [gap for gap in self.state.gaps if not intersect_spans([gap.span], window)]
        new = self._to_gaps(missing, "a person asked for it")
        await self._commit(self.state.status, [*others, *again, *new])

    async def _search(self, window: Span) -> tuple[Inventory, list[Span]]:
        """Return what is stored in the window, and what is neither stored there nor on record as missing."""
        session = self._tools.desk.session
        inventory = await self._tools.desk.call(session.take_inventory, self.series, window)
        known = await self._load_gaps(window)
        return inventory, subtract_spans(inventory.find_missing(window, self._width), [gap.span for gap in known])

    async def _load_gaps(self, window: Span) -> Sequence[Gap]:
        return await self._tools.desk.call(self._tools.desk.session.load_gaps, self.series, window)

    def _to_gaps(self, spans: Sequence[Span], reason: str) -> list[Gap]:
        return [Gap(span, self._now(), reason=reason) for span in spans]

    async def _store(
        self, answer: Answer, candles: Sequence[Candle], asked: Sequence[Span], refetched: Sequence[Candle] = ()
    ) -> None:
        """Store what an answer taught: candles, the gaps that it filled or left, the new status."""
        seen = Seen(answer.opens, answer.rejected, self._now(), self._width, self._tools.settle, answer.proven_from)
        gaps = update_gaps(self.state.gaps, asked, seen)
        status = self.state.status
        opens = [candle.opened_at for candle in candles]
        ends = [end for end in (status.oldest_at, status.newest_at) if end is not None]
        status = replace(
            status,
            oldest_at=min([*ends, *opens], default=None),
            newest_at=max([*ends, *opens], default=None),
            synced_at=self._now(),
            error=None,
            consecutive_failures=0,
        )
        self._note(answer, gaps)
        await self._commit(status, gaps, candles, refetched)
        self._tools.advance(sum(span.count(self._width) for span in asked))

    def _note(self, answer: Answer, gaps: Sequence[Gap]) -> None:
        reasons = [f"{at.isoformat()}: {reason}" for at, reason in answer.rejected.items()] + list(answer.unusable)
        # In a run, an impossible candle is asked for twice and told once.
        self.outcome.rejected += [reason for reason in reasons if reason not in self.outcome.rejected]
        known = [gap.span for gap in self.state.gaps]
        self.outcome.gaps_found += len(subtract_spans([gap.span for gap in gaps], known))
        self.outcome.verified_absent += sum(gap.state is GapState.VERIFIED_ABSENT for gap in gaps)

    async def _commit(
        self,
        status: SyncStatus,
        gaps: Sequence[Gap],
        candles: Sequence[Candle] = (),
        refetched: Sequence[Candle] = (),
    ) -> None:
        """Store candles, gaps and status in one transaction, and carry on from the new state."""
        before = {gap.span.start: gap for gap in self.state.gaps}
        after = {gap.span.start: gap for gap in gaps}
        change = SeriesChange(
            self.series,
            status,
            candles,
            refetched,
            dropped=[start for start in before if start not in after],
            gaps=[gap for start, gap in after.items() if before.get(start) != gap],
        )
        written = await self._tools.desk.save(change)
        self.outcome.inserted += written.inserted
        self.outcome.revised += written.updated
        still_open = sorted((gap for gap in gaps if gap.state is GapState.OPEN), key=lambda gap: gap.span)
        counted = replace(status, candle_count=status.candle_count + written.inserted)
        self.state = SeriesState(counted, tuple(still_open))

    def _now(self) -> datetime:
        return self._tools.source.now()

    def _newest_closed(self) -> datetime:
        return calc_newest_closed(self._now(), self.series.timeframe)
