"""Stored candles as matrices, read by COPY in its binary form: no Python object is made for a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from lib.adapters.database.copying import POSTGRES_EPOCH, SIGNATURE, TRAILER
from lib.adapters.database.engine import database_errors
from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.market.timeframes import floor_to_timeframe, width_of

MICROSECOND = timedelta(microseconds=1)
WANTED_CANDLES = (
    "SELECT wanted.row_number::int4, opened_at, open, high, low, close, volume "
    "FROM unnest(CAST(%(symbols)s AS text[])) WITH ORDINALITY AS wanted (symbol, row_number), "
    # Ordered, and so asked once for each symbol by the key; joined plainly, the server may read the whole table.
    "LATERAL (SELECT * FROM candles WHERE candles.symbol = wanted.symbol AND timeframe = %(timeframe)s "
    "AND opened_at >= %(start)s AND opened_at < %(end)s ORDER BY opened_at) AS stored"
)
FIRST_CANDLES = text(
    "SELECT wanted.symbol, first.opened_at FROM unnest(CAST(:symbols AS text[])) AS wanted (symbol), "
    "LATERAL (SELECT opened_at FROM candles WHERE candles.symbol = wanted.symbol AND timeframe = :timeframe "
    "AND opened_at >= :start AND opened_at < :end ORDER BY opened_at LIMIT 1) AS first"
)
VALUES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Grid:
    """Bars of one timeframe, each a step after the last.

    Attributes:
        first: Open time of the first bar, in PostgreSQL's microseconds.
        step: Width of a bar, in microseconds.
        bars: How many.
    """

    first: int
    step: int
    bars: int

    @property
    def opened_at(self) -> NDArray[np.datetime64]:
        """Open time of each bar, UTC."""
        return to_instants(self.first + self.step * np.arange(self.bars))

    def place(
        self, rows: NDArray[np.int64], instants: NDArray[np.int64], values: NDArray[Any], height: int
    ) -> FloatMatrix:
        """Return a matrix (height, bars) with each value at its row (from 1) and instant, NaN elsewhere."""
        matrix = np.full((height, self.bars), np.nan)
        matrix[rows - 1, (instants - self.first) // self.step] = values
        return matrix


def make_grid(timeframe: str, start: datetime, end: datetime) -> Grid:
    """Return the bars that open in [start, end)."""
    width = width_of(timeframe)
    first = floor_to_timeframe(start + width - MICROSECOND, timeframe)
    bars = max(0, -((first - end) // width))
    return Grid((first - POSTGRES_EPOCH) // MICROSECOND, width // MICROSECOND, bars)


@dataclass(frozen=True)
class DatabaseHistory:
    """A `CandleHistory`."""

    engine: Engine

    def load_matrix(self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime) -> CandleMatrix:
        """Return the stored candles that open in [start, end); a row of NaN for a symbol without any.

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
            SettingsError: The timeframe is unknown.
        """
        grid = make_grid(timeframe, start, end)
        wanted = {"symbols": list(symbols), "timeframe": timeframe, "start": start, "end": end}
        with database_errors(f"reading candles of {timeframe}"), self.engine.connect() as connection:
            read = copy_out(connection, WANTED_CANDLES, wanted, "iq" + "d" * len(VALUES))
        rows, instants, *columns = read
        matrices = [grid.place(rows, instants, column, len(symbols)) for column in columns]
        return CandleMatrix(tuple(symbols), timeframe, grid.opened_at, *matrices)

    def load_starts(
        self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime
    ) -> Mapping[str, datetime]:
        """Return the first stored candle of each symbol in [start, end); a symbol without any is absent.

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
        """
        wanted = {"symbols": list(symbols), "timeframe": timeframe, "start": start, "end": end}
        with database_errors(f"reading the beginning of {timeframe} candles"), self.engine.connect() as connection:
            return {row.symbol: row.opened_at for row in connection.execute(FIRST_CANDLES, wanted)}


def copy_out(connection: Connection, query: str, parameters: dict[str, Any], letters: str) -> list[NDArray[Any]]:
    """Return the columns of a query's rows.

    Args:
        connection: Anything it has begun stays open.
        query: In psycopg2's style; none of its values is null.
        parameters: Of the query.
        letters: One for each column: i is int4, q int8 or timestamptz (microseconds since 2000), d float8.

    Raises:
        ValueError: A row does not fit the letters, or holds a null.
    """
    buffer = BytesIO()
    cursor: Any = connection.connection.cursor()  # psycopg2's own: SQLAlchemy's protocol does not know COPY
    with cursor:
        given = cursor.mogrify(query, parameters).decode()
        cursor.copy_expert(f"COPY ({given}) TO STDOUT (FORMAT binary)", buffer)
    return _unpack(buffer.getbuffer(), letters)


def _unpack(data: memoryview, letters: str) -> list[NDArray[Any]]:
    """Read rows of fixed width: the number of fields, then each field's size and bytes, all big-endian."""
    codes = {"i": ">i4", "q": ">i8", "d": ">f8"}
    fields = [("fields", ">i2")]
    for index, letter in enumerate(letters):
        fields += [(f"size{index}", ">i4"), (f"value{index}", codes[letter])]
    rows = np.frombuffer(data[len(SIGNATURE) : -len(TRAILER)], dtype=np.dtype(fields))
    for index in range(len(letters)):
        value, size = rows[f"value{index}"], rows[f"size{index}"]
        if not np.all(size == value.dtype.itemsize):
            raise ValueError(f"Expected {value.dtype.itemsize} bytes in column {index} of every row, was otherwise.")
    return [
        rows[f"value{index}"].astype(rows[f"value{index}"].dtype.newbyteorder("=")) for index in range(len(letters))
    ]


def to_instants(microseconds: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Return UTC instants of PostgreSQL's microseconds since 2000."""
    return microseconds.astype("timedelta64[us]") + np.datetime64(POSTGRES_EPOCH.replace(tzinfo=None), "us")
