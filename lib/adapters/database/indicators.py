"""Stored indicators: candles out and rows in by COPY, in its binary form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from lib.adapters.database.copying import POSTGRES_EPOCH, SIGNATURE, TRAILER, copy_upsert
from lib.adapters.database.engine import database_errors
from lib.adapters.database.history import MICROSECOND, copy_out, make_grid, to_instants
from lib.adapters.database.tables.indicators import INDICATOR_STATES
from lib.indicators.names import COLUMNS
from lib.indicators.stored import StoredIndicators
from lib.indicators.stores import IndicatorRows, Mark, RecentCandles

LOCK = 0x464B53_0005  # one writer at a time: two would meet the same rows in each other's order
# A subquery with an order is asked once for each series, by the key. Joined plainly the server may read the whole table
# instead, and the cost would grow with the stored history.
# OFFSET 0 keeps it a subquery as an order does, without the sorting, a fifth of the reading; rows come as they lie.
CANDLE = "wanted.row_number::int4, recent.opened_at, recent.high, recent.low, recent.close"
SINCE = (
    f"SELECT {CANDLE} FROM unnest(CAST(%(symbols)s AS text[]), CAST(%(starts)s AS timestamptz[])) "  # noqa: S608 our own text
    "WITH ORDINALITY AS wanted (symbol, start, row_number), LATERAL (SELECT * FROM candles "
    "WHERE candles.symbol = wanted.symbol AND timeframe = %(timeframe)s AND opened_at >= wanted.start "
    "OFFSET 0) AS recent"
)
LAST = (
    f"SELECT {CANDLE} FROM unnest(CAST(%(symbols)s AS text[])) WITH ORDINALITY AS wanted (symbol, row_number), "  # noqa: S608 our own text
    "LATERAL (SELECT * FROM candles WHERE candles.symbol = wanted.symbol AND timeframe = %(timeframe)s "
    "ORDER BY opened_at DESC LIMIT %(count)s) AS recent"
)
LOAD_MARKS = text(
    "SELECT symbol, watched_from, computed_to, begins_at, digest FROM indicator_states AS states "
    "WHERE timeframe = :timeframe AND symbol = ANY(:symbols) AND (begins_at IS NULL OR begins_at <= "
    "(SELECT min(opened_at) FROM candles WHERE candles.symbol = states.symbol "
    "AND candles.timeframe = states.timeframe))"
)
NAMES = ", ".join(COLUMNS)
NULLS = ", ".join(f"NULLIF({name}, 'NaN')" for name in COLUMNS)
NANS = ", ".join(f"COALESCE({name}, 'NaN')" for name in COLUMNS)
STAGE = text(
    "CREATE TEMPORARY TABLE IF NOT EXISTS staged_values (row_number int4, opened_at timestamptz, close float8, "
    + ", ".join(f"{name} float8" for name in COLUMNS)
    + ")"
)
UPSERT = text(
    f"INSERT INTO indicators (symbol, timeframe, opened_at, close, {NAMES}) "  # noqa: S608 our own names
    f"SELECT symbol, :timeframe, opened_at, close, {NULLS} "
    "FROM staged_values JOIN unnest(CAST(:symbols AS text[])) WITH ORDINALITY AS wanted (symbol, number) "
    "ON number = row_number "
    "ON CONFLICT (symbol, timeframe, opened_at) DO UPDATE SET close = EXCLUDED.close, "
    + ", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS)
    + f" WHERE (indicators.close, {', '.join(f'indicators.{name}' for name in COLUMNS)}) "
    f"IS DISTINCT FROM (EXCLUDED.close, {', '.join(f'EXCLUDED.{name}' for name in COLUMNS)})"
)
STORED = (
    f"SELECT wanted.row_number::int4, opened_at, close, {NANS} "  # noqa: S608 our own names
    "FROM unnest(CAST(%(symbols)s AS text[])) WITH ORDINALITY AS wanted (symbol, row_number), "
    "LATERAL (SELECT * FROM indicators WHERE indicators.symbol = wanted.symbol AND timeframe = %(timeframe)s "
    "AND opened_at >= %(start)s AND opened_at < %(end)s ORDER BY opened_at) AS stored"
)


@dataclass(frozen=True)
class DatabaseIndicators:
    """An `IndicatorStore` and an `IndicatorHistory`."""

    engine: Engine

    def load_marks(self, symbols: Sequence[str], timeframe: str) -> Mapping[str, Mark]:
        """Return the marks; none of a series never computed, or that has older candles now than it began with."""
        wanted = {"symbols": list(symbols), "timeframe": timeframe}
        with database_errors(f"reading how far indicators of {timeframe} are"), self.engine.connect() as connection:
            return {row.symbol: Mark(*row[1:]) for row in connection.execute(LOAD_MARKS, wanted)}

    def load_since(self, starts: Mapping[str, datetime], timeframe: str) -> RecentCandles:
        """Return every stored candle of each symbol that opens at its start or later."""
        symbols = list(starts)
        wanted = {"symbols": symbols, "starts": list(starts.values()), "timeframe": timeframe}
        return self._load_candles(SINCE, wanted, symbols)

    def load_last(self, symbols: Sequence[str], timeframe: str, count: int) -> RecentCandles:
        """Return the newest `count` stored candles of each symbol, or all there are."""
        return self._load_candles(LAST, {"symbols": list(symbols), "timeframe": timeframe, "count": count}, symbols)

    def save(self, timeframe: str, rows: IndicatorRows, marks: Mapping[str, Mark]) -> int:
        """Store rows and marks, all or nothing; return how many rows are new or changed."""
        states = [
            (symbol, timeframe, mark.watched_from, mark.computed_to, mark.begins_at, mark.digest)
            for symbol, mark in marks.items()
        ]
        with database_errors(f"storing indicators of {timeframe}"), self.engine.begin() as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            written = _save_rows(connection, timeframe, rows)
            copy_upsert(connection, INDICATOR_STATES, states)
        return written

    def load_stored(self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime) -> StoredIndicators:
        """Return the stored rows of the candles that open in [start, end).

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
            SettingsError: The timeframe is unknown.
        """
        grid = make_grid(timeframe, start, end)
        wanted = {"symbols": list(symbols), "timeframe": timeframe, "start": start, "end": end}
        with database_errors(f"reading indicators of {timeframe}"), self.engine.connect() as connection:
            rows, instants, *columns = copy_out(connection, STORED, wanted, "iqd" + "d" * len(COLUMNS))
        close, *values = [grid.place(rows, instants, column, len(symbols)) for column in columns]
        named = dict(zip(COLUMNS, values, strict=True))
        return StoredIndicators(tuple(symbols), timeframe, grid.opened_at, close, named)

    def _load_candles(self, query: str, wanted: dict[str, Any], symbols: Sequence[str]) -> RecentCandles:
        timeframe = wanted["timeframe"]
        with database_errors(f"reading candles of {timeframe}"), self.engine.connect() as connection:
            rows, instants, *columns = copy_out(connection, query, wanted, "iqddd")
        order = np.lexsort((instants, rows))
        rows, instants = rows[order] - 1, instants[order]
        counts = np.bincount(rows, minlength=len(symbols))
        width = int(counts.max(initial=0))
        places = width - np.cumsum(counts)[rows] + np.arange(len(rows))
        opened_at = np.full((len(symbols), width), np.datetime64("NaT", "us"))
        opened_at[rows, places] = to_instants(instants)
        matrices = [np.full((len(symbols), width), np.nan) for _ in columns]
        for matrix, column in zip(matrices, columns, strict=True):
            matrix[rows, places] = column[order]
        return RecentCandles(tuple(symbols), opened_at, *matrices)


def _save_rows(connection: Connection, timeframe: str, rows: IndicatorRows) -> int:
    """COPY the rows beside the table, and upsert them from there."""
    connection.execute(STAGE)
    cursor: Any = connection.connection.cursor()  # psycopg2's own: SQLAlchemy's protocol does not know COPY
    with cursor:
        cursor.copy_expert("COPY staged_values FROM STDIN (FORMAT binary)", BytesIO(_pack(rows)))
    written = connection.execute(UPSERT, {"timeframe": timeframe, "symbols": list(rows.symbols)}).rowcount
    connection.execute(text("TRUNCATE staged_values"))
    return written


def _pack(rows: IndicatorRows) -> bytes:
    """Return rows in COPY's binary form: all of one width, since null is sent as NaN."""
    epoch = np.datetime64(POSTGRES_EPOCH.replace(tzinfo=None), "us")
    columns: list[tuple[str, Any]] = [
        (">i4", rows.series + 1),
        (">i8", (rows.opened_at - epoch) // np.timedelta64(MICROSECOND)),
        (">f8", rows.close),
        *((">f8", column) for column in rows.values),
    ]
    fields = [("fields", ">i2")]
    for index, (code, _) in enumerate(columns):
        fields += [(f"size{index}", ">i4"), (f"value{index}", code)]
    packed = np.empty(len(rows.series), dtype=np.dtype(fields))
    packed["fields"] = len(columns)
    for index, (code, column) in enumerate(columns):
        packed[f"size{index}"] = np.dtype(code).itemsize
        packed[f"value{index}"] = column
    return SIGNATURE + packed.tobytes() + TRAILER
