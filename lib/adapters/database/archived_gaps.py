"""Candles that went into the archive, as synchronisation sees them: gaps that are known and never asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, text

from lib.adapters.database.sync import LOCKS
from lib.adapters.database.tables.market import CANDLE_GAPS
from lib.market.gaps import IN_ARCHIVE, GapState, Span, merge_spans, subtract_spans
from lib.market.series import Series

GAPS = CANDLE_GAPS.c
RECOUNT = text("""
    UPDATE sync_status SET candle_count = GREATEST(0, candle_count + :change), oldest_at = LEAST(
        (SELECT min(opened_at) FROM candles WHERE candles.symbol = :symbol AND candles.timeframe = :timeframe),
        newest_at
    )
    WHERE symbol = :symbol AND timeframe = :timeframe AND newest_at IS NOT NULL
""")


def lock_series(connection: Connection, series: Series, patience: str) -> None:
    """Wait for a sync of the series, and keep others out until the end of the transaction."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{patience}'"))
    key = text("SELECT pg_advisory_xact_lock(hashtextextended(:series, :locks))")
    connection.execute(key, {"series": str(series), "locks": LOCKS})


def add(connection: Connection, series: Series, opens: Sequence[datetime]) -> None:
    """Note candles that were deleted; what touches becomes one gap."""
    if opens:
        spans = [Span(at, at + series.width) for at in opens]
        _replace(connection, series, Span(opens[0], opens[-1] + series.width), add=spans)
    connection.execute(RECOUNT, {**series._asdict(), "change": -len(opens)})


def remove(connection: Connection, series: Series, opens: Sequence[datetime], stored: int) -> None:
    """Note candles that are back, `stored` of them just now."""
    spans = [Span(at, at + series.width) for at in opens]
    _replace(connection, series, Span(opens[0], opens[-1] + series.width), remove=spans)
    connection.execute(RECOUNT, {**series._asdict(), "change": stored})


def _replace(
    connection: Connection, series: Series, window: Span, *, add: Sequence[Span] = (), remove: Sequence[Span] = ()
) -> None:
    """Write the archived gaps that touch the window anew."""
    is_series = GAPS.symbol == series.symbol, GAPS.timeframe == series.timeframe
    touches = GAPS.state == GapState.ARCHIVED.value, GAPS.starts_at <= window.end, GAPS.ends_at >= window.start
    rows = connection.execute(select(GAPS.starts_at, GAPS.ends_at).where(*is_series, *touches))
    spans = subtract_spans(merge_spans([*(Span(*row) for row in rows), *add]), remove)
    connection.execute(delete(CANDLE_GAPS).where(*is_series, *touches))
    if not spans:
        return
    # A candle is not archived and missing at once: what a gap of another kind says here is over.
    connection.execute(delete(CANDLE_GAPS).where(*is_series, GAPS.starts_at.in_([span.start for span in spans])))
    values = {"state": GapState.ARCHIVED.value, "reason": IN_ARCHIVE, "attempts": 0, "found_at": func.now()}
    connection.execute(
        insert(CANDLE_GAPS).values(values),
        [{**series._asdict(), "starts_at": span.start, "ends_at": span.end} for span in spans],
    )
