"""Rows through a Parquet file and back are the same rows, whatever they hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from lib.archive.parquet import PARTITION, decode, encode
from lib.archive.partitions import COLUMNS, Dataset, Partition, floor_to_month, is_same, name_source
from lib.errors import ArchiveDamaged
from tests.archive.rooms import ETH_1H, NOVEMBER, Room

MONTH = date(2025, 11, 1)
BTC = Partition(Dataset.CANDLES, "BTC/USDT", "1h", MONTH)
ETH = Partition(Dataset.INDICATORS, "ETH/USDT", "1h", MONTH)
FLOATS = st.floats(width=64)
HOUR = timedelta(hours=1)


def rows_of(*values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Rows at different hours of the month, rising, each with these values."""
    hours = st.lists(st.integers(0, 719), min_size=1, max_size=60, unique=True).map(sorted)
    return hours.flatmap(
        lambda chosen: st.tuples(*(st.tuples(st.just(NOVEMBER + hour * HOUR), *values) for hour in chosen)).map(list)
    )


ANY_CANDLES = rows_of(*[FLOATS] * 5, st.none() | FLOATS, st.none() | st.integers(-(2**63), 2**63 - 1))
POSSIBLE = st.floats(1e-300, 1e300, allow_subnormal=False)
ANY_INDICATORS = rows_of(
    st.floats(allow_nan=False), *[st.none() | st.floats(allow_nan=False)] * (len(COLUMNS[Dataset.INDICATORS]) - 2)
)


@settings(deadline=None)
@given(rows=ANY_CANDLES)
def test_every_float_integer_null_and_nan_comes_back_as_it_was(rows: list[tuple[Any, ...]]) -> None:
    assert is_same(decode(BTC, encode(BTC, rows)), rows)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ANY_INDICATORS)
def test_any_rows_come_back_from_the_archive_as_the_database_had_them(
    empty_room: Room, rows: list[tuple[Any, ...]]
) -> None:
    room = empty_room
    room.query("TRUNCATE indicators, archive_manifest")
    room.store_indicators(ETH_1H, [*rows, (room.clock.now(), 0.0, *[None] * (len(rows[0]) - 2))])
    room.spared = 0
    before = room.rows("indicators")
    assert room.archive().counts["indicator rows archived"] == len(rows)
    assert room.rows("indicators") == []
    assert room.restore(NOVEMBER, NOVEMBER + HOUR).counts == {"indicator rows restored": len(rows)}
    assert is_same(room.rows("indicators"), before)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of(POSSIBLE, POSSIBLE, st.none() | POSSIBLE, st.none() | st.integers(0, 2**63 - 1)))
def test_any_possible_candles_come_back_too(empty_room: Room, rows: list[tuple[Any, ...]]) -> None:
    room = empty_room
    room.query("TRUNCATE candles, candle_gaps, sync_status, archive_manifest")
    newest = (room.clock.now(), 1.0, 1.0, None, None)  # a series always keeps its newest
    candles = [(at, price, price, price, price, *others) for at, price, *others in [*rows, newest]]
    insert = text("INSERT INTO candles VALUES ('ETH/USDT', '1h', :a, :b, :c, :d, :e, :f, :g, :h)")
    with room.engine.begin() as connection:
        connection.execute(insert, [dict(zip("abcdefgh", candle, strict=True)) for candle in candles])
        connection.execute(
            text("INSERT INTO sync_status VALUES ('ETH/USDT', '1h', :at, :at, :at, :count, :at, :at, NULL, 0)"),
            {"at": candles[-1][0], "count": len(candles)},
        )
    room.spared = 0
    before = room.rows()
    assert room.archive().counts["candles archived"] == len(rows)
    assert room.rows() == []
    room.restore(NOVEMBER, NOVEMBER + HOUR)
    assert is_same(room.rows(), before)
    assert room.query("SELECT candle_count FROM sync_status") == [(len(candles),)]
    assert room.query("SELECT count(*) FROM candle_gaps") == [(0,)]


def test_a_column_that_came_later_is_null_and_one_that_went_is_left_out(empty_room: Room) -> None:
    rows = [(NOVEMBER, *[1.5] * 5, 2.5, 3)]
    content = encode(BTC, rows)
    older = pq.read_table(pa.BufferReader(content)).drop_columns(["trade_count"])
    older = older.append_column("spread", pa.array([1.0]))
    sink = pa.BufferOutputStream()
    pq.write_table(older.replace_schema_metadata({PARTITION: str(BTC).encode()}), sink)
    assert decode(BTC, sink.getvalue().to_pybytes()) == [(*rows[0][:-1], None)]


@pytest.mark.parametrize("content", [b"", b"PAR1 and so on PAR1", encode(ETH, [(NOVEMBER, *[1.0] * 14)])])
def test_what_is_no_file_of_this_month_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(ArchiveDamaged, match="candles BTC/USDT 1h 2025-11"):
        decode(BTC, content)


def test_a_flipped_bit_in_a_page_is_noticed() -> None:
    content = bytearray(encode(BTC, [(NOVEMBER + n * HOUR, *[n / 7] * 5, 2.5, 3) for n in range(500)]))
    content[len(content) // 3] ^= 1
    with pytest.raises(ArchiveDamaged):
        decode(BTC, bytes(content))


def test_a_month_is_utc_whatever_the_zone_of_the_instant() -> None:
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    assert floor_to_month((new_year - HOUR).astimezone(datetime.now().astimezone().tzinfo)) == date(2025, 12, 1)
    december = Partition(Dataset.CANDLES, "BTC/USDT", "1h", date(2025, 12, 1))
    assert december.span.end == new_year


def test_two_exchanges_never_share_a_folder() -> None:
    names = {
        name_source(one) for one in ("binance", "binance's test network", "binance at localhost:8080", "simulator")
    }
    assert names == {"binance", "binance-s-test-network", "binance-at-localhost-8080", "simulator"}
