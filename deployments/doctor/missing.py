"""Why data is missing: candles that are old, gaps, failed synchronisations, balances, strategies without signals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from deployments.doctor.findings import Check, Finding, Question, Situation, fine, found
from lib.adapters.database.data_faults import SeriesFault, load_series
from lib.adapters.database.engine import make_engine
from lib.adapters.database.health import DatabaseHealth
from lib.health.bounds import find_breaches
from lib.results import render_count
from lib.tasks.watched import watched_of

BACKFILL = ".venv/bin/prefect deployment run backfill-market-data/manual"


def render_backfill(
    start: datetime, symbols: Sequence[str], timeframes: Sequence[str], end: datetime | None = None
) -> str:
    """Return the command that fetches candles of a window by hand."""
    until = f" -p end={end:%Y-%m-%dT%H:%M:%SZ}" if end else ""
    names = f"-p symbols='{json.dumps(list(symbols))}' -p timeframes='{json.dumps(list(timeframes))}'"
    return f"{BACKFILL} -p start={start:%Y-%m-%dT%H:%M:%SZ}{until} {names}"


def look_at_candles(situation: Situation) -> Iterator[Finding]:
    """Look at each series: how far it is behind, what is missing in between, and why the last try failed."""
    settings = situation.settings
    engine = make_engine(situation.find_database())
    try:
        settled = situation.now - timedelta(seconds=settings.gap_settle_seconds)
        every = load_series(engine, watched_of(settings), situation.now, settled)
    finally:
        engine.dispose()
    faults = 0
    for one in every:
        for finding in _judge(one, settings.health_max_missed_candles):
            faults += 1
            yield finding
    halted = sorted({one.symbol for one in every if not one.trades})
    if halted:
        yield fine(f"the exchange does not trade {', '.join(halted)} now, so there are no candles")
    if not faults:
        yield fine(f"{render_count(len(every), 'series')} are fresh and without gaps")


def _judge(one: SeriesFault, most_behind: int) -> Iterator[Finding]:
    series = f"{one.symbol} {one.timeframe}"
    if one.newest_at is None and one.trades:
        why = f": {one.error}" if one.error else ""
        yield found(f"{series} has no candle yet{why}", "start critical-path/every-5-minutes, and see its run")
    elif one.newest_at is not None and one.trades and one.behind > most_behind:
        why = f"; the last try: {one.error}" if one.error else ""
        yield found(
            f"{series} lacks its newest {render_count(one.behind, 'candles')}, since {one.newest_at:%Y-%m-%d %H:%M} "
            f"UTC{why}",
            f"the next run of critical-path fetches them; at once: {render_backfill(one.newest_at, *_names(one))}",
        )
    elif one.error and one.trades:
        yield found(f"{series}: the last try failed: {one.error}", "the next run tries again")
    if one.gap:
        yield found(
            f"{series} lacks {render_count(one.gap.candles, 'candles')} between {one.gap.starts_at:%Y-%m-%d %H:%M} and "
            f"{one.gap.ends_at:%Y-%m-%d %H:%M} UTC",
            render_backfill(one.gap.starts_at, *_names(one), end=one.gap.ends_at),
        )


def _names(one: SeriesFault) -> tuple[list[str], list[str]]:
    return [one.symbol], [one.timeframe]


def look_at_figures(situation: Situation) -> Iterator[Finding]:
    """Hold balances, strategies and sizes against the bounds of the settings."""
    engine = make_engine(situation.find_database())
    try:
        store = DatabaseHealth(engine).load_figures(situation.now, watched_of(situation.settings))
    finally:
        engine.dispose()
    elsewhere = ("candles ", "backlog")  # other checks say more about them
    breaches = find_breaches(None, store, situation.settings, situation.now)
    told = [one for one in breaches if not one.key.startswith(elsewhere)]
    for breach in told:
        yield found(breach.what, breach.remedy)
    for account in store.accounts:
        if account.at is None:
            yield found(
                f"{account.account} has no balance yet", "signal-generation stores one every quarter of an hour"
            )
    unknown = set(situation.settings.effective_accounts) - {one.account for one in store.accounts}
    if unknown:
        yield found(f"{', '.join(sorted(unknown))} was never seen by a run", "the next run of critical-path makes it")
    if not told:
        yield fine("balances, strategies and sizes are within their bounds")


CHECKS = (
    Check(Question.MISSING, "candles", look_at_candles),
    Check(Question.MISSING, "balances, strategies, sizes", look_at_figures),
)
