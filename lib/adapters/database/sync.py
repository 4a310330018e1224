"""What synchronisation needs of the database: a session that holds locks, and changes stored whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select, text

from lib.adapters.database import symbols
from lib.adapters.database.copying import copy_new, copy_upsert
from lib.adapters.database.locking import begin_locked, open_locking
from lib.adapters.database.tables.market import CANDLE_GAPS, CANDLES, SYNC_STATUS
from lib.market.gaps import Gap, GapState, Span
from lib.market.series import Series, SeriesState, SyncStatus
from lib.market.stores import Inventory, SeriesChange
from lib.market.symbols import Symbol, SymbolGroup, SymbolState
from lib.ports import Written

LOCKS = 0x464B53_0001  # the seed keeps these advisory locks apart from others
WANTED = "unnest(CAST(:symbols AS text[]), CAST(:timeframes AS text[])) AS wanted (symbol, timeframe)"
LOCK_KEY = f"hashtextextended(wanted.symbol || ' ' || wanted.timeframe, {LOCKS})"

TRY_LOCK = text(f"SELECT symbol, timeframe, pg_try_advisory_lock({LOCK_KEY}) FROM {WANTED}")  # noqa: S608 our own text
UNLOCK = text(f"SELECT pg_advisory_unlock({LOCK_KEY}) FROM {WANTED}")  # noqa: S608 our own text
LOAD_STATUS = text(f"SELECT sync_status.* FROM sync_status JOIN {WANTED} USING (symbol, timeframe)")  # noqa: S608 our own text
LOAD_OPEN_GAPS = text(
    f"SELECT candle_gaps.* FROM candle_gaps JOIN {WANTED} USING (symbol, timeframe) "  # noqa: S608 our own text
    "WHERE state = 'open' ORDER BY starts_at"
)
DROP_GAPS = text(
    "DELETE FROM candle_gaps USING "
    "unnest(CAST(:symbols AS text[]), CAST(:timeframes AS text[]), CAST(:starts AS timestamptz[])) "
    "AS dropped (symbol, timeframe, starts_at) WHERE candle_gaps.symbol = dropped.symbol "
    "AND candle_gaps.timeframe = dropped.timeframe AND candle_gaps.starts_at = dropped.starts_at"
)
FIND_HOLES = text(
    "SELECT expected_at, opened_at FROM ("
    "  SELECT opened_at, lag(opened_at) OVER (ORDER BY opened_at) + :width AS expected_at FROM candles"
    "  WHERE symbol = :symbol AND timeframe = :timeframe AND opened_at >= :start AND opened_at < :end"
    ") AS stored WHERE opened_at > expected_at ORDER BY opened_at"
)


@dataclass(frozen=True)
class DatabaseSync:
    """A `SyncStore`."""

    engine: Engine

    @contextmanager
    def open_session(self) -> Iterator[DatabaseSyncSession]:
        """See `SyncStore`."""
        with open_locking(self.engine, "opening a session") as connection:
            yield DatabaseSyncSession(connection)


@dataclass(frozen=True)
class DatabaseSyncSession:
    """A `SyncSession` on one connection. Advisory locks need a session of the server: no transaction pooler between."""

    connection: Connection

    def try_lock(self, series: Collection[Series]) -> set[Series]:
        """Take the locks of those that nobody else holds, and return them."""
        with self._transaction("taking locks") as connection:
            rows = connection.execute(TRY_LOCK, _columns(series))
            return {Series(symbol, timeframe) for symbol, timeframe, is_taken in rows if is_taken}

    def unlock(self, series: Collection[Series]) -> None:
        """Give locks back."""
        with self._transaction("giving locks back") as connection:
            connection.execute(UNLOCK, _columns(series))

    def load_states(self, series: Collection[Series]) -> Mapping[Series, SeriesState]:
        """Return status and open gaps of each series, empty ones for those never seen."""
        with self._transaction("reading what is stored") as connection:
            statuses = {
                Series(row.symbol, row.timeframe): _to_status(row)
                for row in connection.execute(LOAD_STATUS, _columns(series))
            }
            gaps: dict[Series, list[Gap]] = defaultdict(list)
            for row in connection.execute(LOAD_OPEN_GAPS, _columns(series)):
                gaps[Series(row.symbol, row.timeframe)].append(_to_gap(row))
        return {one: SeriesState(statuses.get(one, SyncStatus()), tuple(gaps[one])) for one in series}

    def load_gaps(self, series: Series, window: Span) -> Sequence[Gap]:
        """Return the gaps that overlap the window, open or not."""
        gaps = CANDLE_GAPS.c
        query = (
            select(CANDLE_GAPS)
            .where(gaps.symbol == series.symbol, gaps.timeframe == series.timeframe)
            .where(gaps.starts_at < window.end, gaps.ends_at > window.start)
            .order_by(gaps.starts_at)
        )
        with self._transaction(f"reading the gaps of {series}") as connection:
            return [_to_gap(row) for row in connection.execute(query)]

    def take_inventory(self, series: Series, window: Span) -> Inventory:
        """Look at every stored candle of the window."""
        candles = CANDLES.c
        ends = select(func.min(candles.opened_at), func.max(candles.opened_at), func.count()).where(
            candles.symbol == series.symbol,
            candles.timeframe == series.timeframe,
            candles.opened_at >= window.start,
            candles.opened_at < window.end,
        )
        limits = {**series._asdict(), **window._asdict(), "width": series.width}
        with self._transaction(f"looking at the candles of {series}") as connection:
            oldest_at, newest_at, count = connection.execute(ends).one()
            holes = tuple(Span(*row) for row in connection.execute(FIND_HOLES, limits))
        return Inventory(oldest_at, newest_at, count, holes)

    def save(self, changes: Sequence[SeriesChange]) -> Mapping[Series, Written]:
        """Store changes of different series together, all or nothing; return what was written of each."""
        names = ", ".join(str(change.series) for change in changes[:3])
        with self._transaction(f"storing {names}{', …' if len(changes) > 3 else ''}") as connection:
            written = _save_candles(connection, changes)
            _save_gaps(connection, changes)
            copy_upsert(connection, SYNC_STATUS, [_to_status_row(change, written[change.series]) for change in changes])
        return written

    def load_symbols(self, names: Collection[str]) -> Mapping[str, SymbolState]:
        """Return what is on record of these symbols; unknown ones are left out."""
        with self._transaction("reading symbols") as connection:
            return symbols.load_states(connection, names)

    def save_symbols(
        self, listed: Collection[Symbol], *, missing: Collection[str], groups: Mapping[str, SymbolGroup], at: datetime
    ) -> None:
        """Store the exchange's whole list; those not in it, and `missing` ones we asked for, become delisted."""
        with self._transaction("storing symbols") as connection:
            symbols.save(connection, listed, missing=missing, groups=groups, at=at)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        with begin_locked(self.connection, "our locks", doing) as connection:
            yield connection


def _columns(series: Collection[Series]) -> dict[str, Any]:
    return {"symbols": [one.symbol for one in series], "timeframes": [one.timeframe for one in series]}


def _save_candles(connection: Connection, changes: Sequence[SeriesChange]) -> Mapping[Series, Written]:
    new = [(*change.series, *candle) for change in changes for candle in change.candles]
    stored = [(*change.series, *candle) for change in changes for candle in change.refetched]
    total: Counter[tuple[Series, str]] = Counter()
    for write, rows in ((copy_new, new), (copy_upsert, stored)):
        written = write(connection, CANDLES, rows, count_by=("symbol", "timeframe")) if rows else {}
        for key, count in written.items():
            total[Series(*key), "inserted"] += count.inserted
            total[Series(*key), "updated"] += count.updated
    return {
        change.series: Written(total[change.series, "inserted"], total[change.series, "updated"]) for change in changes
    }


def _save_gaps(connection: Connection, changes: Sequence[SeriesChange]) -> None:
    dropped = [(change.series, start) for change in changes for start in change.dropped]
    if dropped:
        starts = [start for _, start in dropped]
        connection.execute(DROP_GAPS, {**_columns([series for series, _ in dropped]), "starts": starts})
    rows = [(*change.series, *_to_gap_values(gap)) for change in changes for gap in change.gaps]
    if rows:
        copy_upsert(connection, CANDLE_GAPS, rows)


def _to_gap_values(gap: Gap) -> tuple[Any, ...]:
    return (*gap.span, gap.state.value, gap.reason, gap.attempts, gap.found_at, gap.checked_at)


def _to_gap(row: Row[Any]) -> Gap:
    span = Span(row.starts_at, row.ends_at)
    return Gap(span, row.found_at, GapState(row.state), row.reason, row.attempts, row.checked_at)


def _to_status_row(change: SeriesChange, written: Written) -> tuple[Any, ...]:
    status = change.status
    count = status.candle_count + written.inserted
    ends = (status.oldest_at, status.newest_at, status.wanted_from)
    return (
        *change.series,
        *ends,
        count,
        status.synced_at,
        status.audited_at,
        status.error,
        status.consecutive_failures,
    )


def _to_status(row: Row[Any]) -> SyncStatus:
    return SyncStatus(*row[2:])
