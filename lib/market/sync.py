"""The task sync_market_data, and the same work for a window that a person asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lib.errors import SettingsError
from lib.market.asking import CandleSource
from lib.market.jobs import FillWindow, Job, KeepFresh
from lib.market.outcome import find_silent
from lib.market.quarantine import SymbolReview, review_symbols
from lib.market.run import SyncOptions, SyncProgress, SyncRun
from lib.market.series import Series
from lib.market.stores import SyncStore
from lib.market.sync_result import SyncResult, count_outcomes, list_items, summarize_timeframes
from lib.market.writing import WritingDesk, open_desk
from lib.ports import Clock, Exchange
from lib.results import calc_status

Show = Callable[[SyncProgress], None]


async def sync_market_data(
    *,
    exchange: Exchange,
    store: SyncStore,
    clock: Clock,
    options: SyncOptions,
    symbols: Sequence[str],
    timeframes: Sequence[str] | None = None,
    show: Show = lambda _: None,
) -> SyncResult:
    """Bring the candles of every symbol and timeframe into step with the exchange.

    Closed candles only, by the exchange's clock. What is fresh costs no request; what another run holds is waited for.
    Short work goes before long: a first backfill never delays fresh candles. Long work ends when its time is up
    (`options`), and the next run goes on.

    Args:
        exchange: Asked.
        store: Keeps candles, gaps, status and symbols.
        clock: Ours; its offset to the exchange's is measured and reported.
        options: How.
        symbols: Which, as "BTC/USDT".
        timeframes: Which of those in `options.history`; None means all.
        show: Told how far the run is, after each stored answer.

    Raises:
        AllItemsFailed: Nothing succeeded.
        ExchangeUnavailable: The exchange did not tell its time.
        RateLimited: The same, because it wants us to pause.
        DatabaseUnavailable: The database was lost; what was committed stays, and the next run carries on.
        SettingsError: A timeframe has no history.
    """
    unknown = [timeframe for timeframe in timeframes or () if timeframe not in options.history]
    if unknown:
        known = ", ".join(options.history)
        raise SettingsError(f"Expected timeframes of {known}, was {', '.join(unknown)}. Add it to FKS_HISTORY_DAYS.")
    wanted = [Series(symbol, timeframe) for symbol in symbols for timeframe in timeframes or options.history]
    visit = _Visit(exchange, store, clock, options, show)
    return await visit.carry_out(
        "sync_market_data", wanted, lambda now: KeepFresh(options.history, now), skip_quarantined=True
    )


async def backfill_market_data(
    *,
    exchange: Exchange,
    store: SyncStore,
    clock: Clock,
    options: SyncOptions,
    symbols: Sequence[str],
    timeframes: Sequence[str],
    start: datetime,
    end: datetime,
    verified: bool = False,
    show: Show = lambda _: None,
) -> SyncResult:
    """Look at every candle of a window and fetch what is missing, however long that takes.

    Args:
        exchange: Asked.
        store: Keeps candles, gaps, status and symbols.
        clock: Ours.
        options: How; its history and its limit on time do not count here.
        symbols: Which, those in quarantine too.
        timeframes: Which.
        start: First instant, rounded down to the timeframe.
        end: Candles that open before it.
        verified: Also ask again for candles that the exchange was found not to have.
        show: Told how far the run is.

    Raises:
        AllItemsFailed: Nothing succeeded.
        ExchangeUnavailable: The exchange did not tell its time.
        RateLimited: The same, because it wants us to pause.
        DatabaseUnavailable: The database was lost; what was committed stays.
        SettingsError: The window is empty.
    """
    if start >= end:
        raise SettingsError(
            f"Expected a window, was {start.isoformat()} to {end.isoformat()}. Let it end after its start."
        )
    wanted = [Series(symbol, timeframe) for symbol in symbols for timeframe in timeframes]
    visit = _Visit(exchange, store, clock, replace(options, backfill_for=timedelta.max), show)
    return await visit.carry_out(
        "backfill_market_data", wanted, lambda _: FillWindow(start, end, verified), skip_quarantined=False
    )


async def measure_clock_offset(exchange: Exchange, clock: Clock) -> timedelta:
    """Return exchange time minus ours; `fetch_time` has already allowed for the answer's way."""
    theirs = await exchange.fetch_time()
    return theirs - clock.now()


@dataclass(frozen=True)
class _Visit:
    """One call's exchange, store, clock and options."""

    exchange: Exchange
    store: SyncStore
    clock: Clock
    options: SyncOptions
    show: Show

    async def carry_out(
        self,
        task: str,
        wanted: Sequence[Series],
        to_job: Callable[[Callable[[], datetime]], Job],
        *,
        skip_quarantined: bool,
    ) -> SyncResult:
        started_at = self.clock.now()
        offset = await measure_clock_offset(self.exchange, self.clock)

        def now() -> datetime:
            return self.clock.now() + offset

        source = CandleSource(self.exchange, now, self.options.concurrency)
        async with open_desk(self.store) as desk:
            names = {series.symbol for series in wanted}
            review = await self._review(desk, names, now())
            run = SyncRun(to_job(now), source, desk, self.options, self.show)
            await run.work_on([one for one in wanted if not (skip_quarantined and review.find_obstacle(one.symbol))])
            review = await self._look_again(review, run, desk, names, now())
        items = list_items(wanted, run.outcomes, review, now=now(), settle=self.options.settle)
        quarantined = {one.symbol for one in wanted if review.find_obstacle(one.symbol)}
        return SyncResult(
            task=task,
            status=calc_status(task, items),
            counts=count_outcomes(run.outcomes.values(), len(quarantined)),
            items=tuple(items),
            started_at=started_at,
            finished_at=self.clock.now(),
            exchange_at=now(),
            clock_offset_ms=round(offset / timedelta(milliseconds=1)),
            requests=source.requests,
            quarantined=tuple(sorted(review.quarantined)),
            released=tuple(sorted(review.released)),
            timeframes=summarize_timeframes(run.states, now()),
        )

    async def _look_again(
        self, review: SymbolReview, run: SyncRun, desk: WritingDesk, names: Collection[str], now: datetime
    ) -> SymbolReview:
        """Ask for the list when a symbol of this run failed or fell silent, but once a run at most."""
        silent = find_silent(run.outcomes)
        is_due = any(outcome.is_about_symbol for outcome in run.outcomes.values()) or any(
            review.is_doubtful(symbol, since, now) for symbol, since in silent.items()
        )
        if review.asked or not is_due:
            return review
        return await self._review(desk, names, now, at_once=True, silent=silent)

    async def _review(
        self,
        desk: WritingDesk,
        names: Collection[str],
        now: datetime,
        *,
        at_once: bool = False,
        silent: Collection[str] = (),
    ) -> SymbolReview:
        groups = self.options.groups
        return await review_symbols(self.exchange, desk, names, groups, now=now, at_once=at_once, silent=silent)
