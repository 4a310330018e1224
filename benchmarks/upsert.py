"""Candle upsert: rows a second beside a bare COPY of the same rows, and beside psycopg2's execute_values."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from psycopg2.extras import execute_values
from sqlalchemy import Connection, Engine, text

from benchmarks.measuring import calc_ratio, measure_paired, render_spread, show_table
from benchmarks.servers import running_database
from lib.adapters.database.copying import copy_new, copy_rows, copy_upsert
from lib.adapters.database.engine import make_engine
from lib.adapters.database.tables.market import CANDLES

ROUNDS = 5
SYMBOLS, CANDLES_EACH = 100, 1000
PAGE = 1000  # what one answer of the exchange holds
STARTS_AT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [column.name for column in CANDLES.columns]

Row = tuple[Any, ...]
Way = Callable[[Connection, Sequence[Row]], object]


def run() -> None:
    rows = make_rows(seed=1)
    changed = [(*row[:7], row[7] + 1.0, *row[8:]) for row in rows]
    with running_database() as url:
        engine = make_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE bare (LIKE candles INCLUDING ALL)"))
        ways = {
            "bare COPY, binary (ours)": partial(_measure, engine, _copy_bare, rows, None),
            "bare COPY, CSV": partial(_measure, engine, _copy_csv, rows, None),
            "our upsert of rows expected to be new (sync)": partial(_measure, engine, _write_new, rows, None),
            "the same, in pages of 1,000": partial(_measure, engine, _write_new_pages, rows, None),
            "our upsert, new rows": partial(_measure, engine, _upsert, rows, None),
            "our upsert, new rows, pages of 1,000": partial(_measure, engine, _upsert_pages, rows, None),
            "our upsert, all rows there and equal": partial(_measure, engine, _upsert, rows, rows),
            "our upsert, all rows there and changed": partial(_measure, engine, _upsert, changed, rows),
            "execute_values upsert, new rows": partial(_measure, engine, _upsert_values, rows, None),
            "execute_values upsert, all rows changed": partial(_measure, engine, _upsert_values, changed, rows),
        }
        measured = measure_paired(ways, ROUNDS)
        engine.dispose()
    copy, values = measured["bare COPY, binary (ours)"], measured["execute_values upsert, new rows"]
    table = [
        (
            name,
            render_spread([len(rows) / seconds for seconds in times], 0),
            f"{calc_ratio(times, copy):.2f}",
            f"{calc_ratio(times, values):.1f}",
        )
        for name, times in measured.items()
    ]
    show_table((f"{len(rows):,} candles", "rows a second", "x bare COPY", "x execute_values"), table)


def make_rows(seed: int) -> list[Row]:
    """Return possible candles of many symbols, in the order of the table's key."""
    random = np.random.default_rng(seed)
    count = SYMBOLS * CANDLES_EACH
    prices = np.sort(random.uniform(10, 60_000, (count, 4)), axis=1)
    volumes = random.uniform(0, 1e6, (count, 2))
    instants = [STARTS_AT + number * timedelta(minutes=5) for number in range(CANDLES_EACH)]
    return [
        (f"S{number // CANDLES_EACH:03d}/USDT", "5m", instants[number % CANDLES_EACH], *candle)
        for number, candle in enumerate(_to_candles(prices, volumes, random.integers(0, 10**6, count)))
    ]


def _to_candles(prices: np.ndarray, volumes: np.ndarray, trades: np.ndarray) -> list[Row]:
    return [
        (inner, high, low, outer, volume, quote, count)
        for (low, inner, outer, high), (volume, quote), count in zip(
            prices.tolist(), volumes.tolist(), trades.tolist(), strict=True
        )
    ]


def _measure(engine: Engine, way: Way, rows: Sequence[Row], stored: Sequence[Row] | None) -> float:
    """Return the seconds to write and commit `rows` where exactly `stored` is stored."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE candles, bare"))
        if stored is not None:
            copy_rows(connection, "candles", CANDLES, stored)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE candles"))
        connection.execute(text("CHECKPOINT"))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        started = time.perf_counter()
        way(connection, rows)
        connection.commit()
        return time.perf_counter() - started


def _copy_bare(connection: Connection, rows: Sequence[Row]) -> None:
    copy_rows(connection, "bare", CANDLES, rows)


def _copy_csv(connection: Connection, rows: Sequence[Row]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    buffer.seek(0)
    with connection.connection.cursor() as cursor:  # type: ignore[attr-defined]  # psycopg2's own
        cursor.copy_expert("COPY bare FROM STDIN (FORMAT csv)", buffer)


def _write_new(connection: Connection, rows: Sequence[Row]) -> None:
    copy_new(connection, CANDLES, rows, count_by=("symbol",))


def _write_new_pages(connection: Connection, rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), PAGE):
        _write_new(connection, rows[start : start + PAGE])
        connection.commit()


def _upsert(connection: Connection, rows: Sequence[Row]) -> None:
    copy_upsert(connection, CANDLES, rows, count_by=("symbol",))


def _upsert_pages(connection: Connection, rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), PAGE):
        _upsert(connection, rows[start : start + PAGE])
        connection.commit()


def _upsert_values(connection: Connection, rows: Sequence[Row]) -> None:
    assignments = ", ".join(f"{name} = EXCLUDED.{name}" for name in NAMES[3:])
    statement = (
        f"INSERT INTO candles ({', '.join(NAMES)}) VALUES %s "
        f"ON CONFLICT (symbol, timeframe, opened_at) DO UPDATE SET {assignments}"
    )
    with connection.connection.cursor() as cursor:  # type: ignore[attr-defined]  # psycopg2's own
        execute_values(cursor, statement, rows, page_size=1000)
