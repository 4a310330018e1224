"""One run over many series: each is locked, worked on, and closed; one's failure never stops another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from lib.errors import DatabaseUnavailable, EnvironmentRefused, FksError
from lib.market.asking import CandleSource
from lib.market.jobs import Job
from lib.market.outcome import FRESH, Outcome
from lib.market.series import Series, SeriesState
from lib.market.series_sync import SeriesSync, Tools
from lib.market.stores import SeriesChange
from lib.market.symbols import SymbolGroup
from lib.market.writing import WritingDesk

log = logging.getLogger(__name__)

BUSY = "being synced by another run"


@dataclass(frozen=True)
class SyncOptions:
    """How to synchronise.

    Attributes:
        history: By timeframe, how far back candles are wanted.
        groups: Main and alt symbols, for the record; the others are `other`.
        concurrency: Requests in flight.
        wait: How long to wait for another run that holds a series.
        poll: How often to look whether it is done.
        settle: How long after its end a gap may still fill by itself, and how late a candle may be.
        backfill_for: How long a run fetches history before its chain goes on; the next run continues.
        repair_for: The same where anything is stored already; None: as long. Newest candles are always fetched.
    """

    history: Mapping[str, timedelta]
    groups: Mapping[str, SymbolGroup] = field(default_factory=dict)
    concurrency: int = 20
    wait: timedelta = timedelta(seconds=20)
    poll: timedelta = timedelta(milliseconds=250)
    settle: timedelta = timedelta(hours=1)
    backfill_for: timedelta = timedelta(minutes=2)
    repair_for: timedelta | None = None


@dataclass(frozen=True)
class SyncProgress:
    """How far a run is; candles are open times gone over, whether the exchange has a candle there or not."""

    series_done: int = 0
    series_total: int = 0
    candles_done: int = 0
    candles_expected: int = 0


class SyncRun:
    """Carries a job over the series.

    Attributes:
        outcomes: What was done, by series.
        states: What was stored when it was last looked at, by series.
    """

    def __init__(
        self,
        job: Job,
        source: CandleSource,
        desk: WritingDesk,
        options: SyncOptions,
        show: Callable[[SyncProgress], None],
    ) -> None:
        self.outcomes: dict[Series, Outcome] = {}
        self.states: dict[Series, SeriesState] = {}
        self._job = job
        self._desk = desk
        self._options = options
        self._show = show
        self._progress = SyncProgress()
        self._began = time.monotonic()
        self._history_for = options.backfill_for
        self._tools = Tools(source, desk, options.settle, self._is_time_up, self._advance)

    async def work_on(self, series: Sequence[Series]) -> None:
        """Do the job; what another run holds is waited for, and done here if that run did not."""
        give_up_at = time.monotonic() + self._options.wait.total_seconds()
        held = await self._take_and_work(series, FRESH)
        while held and time.monotonic() < give_up_at:
            await asyncio.sleep(self._options.poll.total_seconds())
            held = await self._take_and_work(held, "fresh, synced by another run")
        self.outcomes.update({one: Outcome(skipped=BUSY) for one in held})

    async def _take_and_work(self, series: Sequence[Series], when_fresh: str) -> list[Series]:
        """Work on what is due and free; return what is due and held by another run."""
        session = self._desk.session
        due = await self._find_due(series, when_fresh)
        taken = await self._desk.call(session.try_lock, due) if due else set()
        if taken:
            still_due = await self._find_due([one for one in due if one in taken], "fresh, synced by another run")
            await self._work([SeriesSync(one, self.states[one], self._tools) for one in still_due])
            await self._desk.call(session.unlock, taken.difference(still_due))
        return [one for one in due if one not in taken]

    async def _find_due(self, series: Sequence[Series], when_fresh: str) -> list[Series]:
        self.states.update(await self._desk.call(self._desk.session.load_states, series))
        if self._options.repair_for is not None and any(one.status.newest_at for one in self.states.values()):
            self._history_for = self._options.repair_for
        due = {one for one in series if self._job.needs_work(one, self.states[one])}
        self.outcomes.update({one: Outcome(skipped=when_fresh) for one in series if one not in due})
        return [one for one in series if one in due]

    async def _work(self, syncs: Sequence[SeriesSync]) -> None:
        expected = sum(self._job.count_expected(sync.series, sync.state) for sync in syncs)
        self._count(series_total=len(syncs), candles_expected=expected)
        urgent = [sync for sync in syncs if self._job.is_urgent(sync)]
        await self._run_all(urgent, self._job.do_urgent)
        done = [sync for sync in urgent if sync.outcome.error or not self._job.needs_work(sync.series, sync.state)]
        await self._close(done)
        closed = {sync.series for sync in done}
        await self._run_all([sync for sync in syncs if sync.series not in closed], self._finish)

    async def _finish(self, sync: SeriesSync) -> None:
        await self._guard(sync, self._job.do_rest)
        await self._close([sync])

    async def _run_all(self, syncs: Sequence[SeriesSync], step: Callable[[SeriesSync], Awaitable[None]]) -> None:
        """Run a step for every series, twice as many at once as requests: half of them store what they received."""
        slots = asyncio.Semaphore(2 * self._options.concurrency)

        async def run(sync: SeriesSync) -> None:
            async with slots:
                await self._guard(sync, step)

        try:
            async with asyncio.TaskGroup() as group:
                for sync in syncs:
                    group.create_task(run(sync))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _guard(self, sync: SeriesSync, step: Callable[[SeriesSync], Awaitable[None]]) -> None:
        """Count a series' failure; only the loss of the database ends the run."""
        try:
            await step(sync)
        except (DatabaseUnavailable, EnvironmentRefused):
            raise
        except FksError as error:
            sync.outcome.error = error
        except Exception as error:
            log.exception("%s failed in a way nobody foresaw", sync.series)
            sync.outcome.error = error

    async def _close(self, syncs: Sequence[SeriesSync]) -> None:
        """Put failures on record, and let other runs have these series."""
        if not syncs:
            return
        self.outcomes.update({sync.series: sync.outcome for sync in syncs})
        self.states.update({sync.series: sync.state for sync in syncs})
        await asyncio.gather(*[self._desk.save(change) for sync in syncs if (change := self._find_failure(sync))])
        await self._desk.call(self._desk.session.unlock, [sync.series for sync in syncs])
        self._count(series_done=len(syncs))

    def _find_failure(self, sync: SeriesSync) -> SeriesChange | None:
        problem = sync.outcome.find_problem(now=self._tools.source.now(), settle=self._options.settle)
        if problem is None:
            return None
        log.warning("%s: %s", sync.series, problem)
        failures = sync.state.status.consecutive_failures + 1
        return SeriesChange(sync.series, replace(sync.state.status, error=problem, consecutive_failures=failures))

    def _is_time_up(self) -> bool:
        return time.monotonic() - self._began >= self._history_for.total_seconds()

    def _advance(self, candles: int) -> None:
        self._count(candles_done=candles)

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self._progress, name) + count for name, count in more.items()}
        self._progress = replace(self._progress, **counts)
        self._show(self._progress)
