"""What goes into the archive, and what stays."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq

from lib.adapters.database.sync import DatabaseSync
from lib.archive.partitions import COLUMNS, Dataset
from lib.market.gaps import GapState, Span
from lib.results import Status
from tests.archive.rooms import BTC_1H, DECEMBER, ETH_1H, FEBRUARY, JANUARY, MARCH, NOVEMBER, Room
from tests.prefect_servers import wait_until

HOUR = timedelta(hours=1)


def test_months_older_than_the_retention_move_into_a_file_each_and_newer_ones_stay(room: Room) -> None:
    before = room.rows()
    result = room.archive()
    assert (result.status, result.counts["candles archived"]) == (Status.OK, 61 * 24)
    assert room.rows() == [row for row in before if row[2] >= JANUARY]
    assert room.states() == [("2025-11", "archived", 720, 720), ("2025-12", "archived", 744, 744)]
    november, december = room.files()
    assert november.startswith("candles/1h/BTC-USDT/2025-11-") and december.endswith(".parquet")


def test_any_reader_of_parquet_finds_the_rows_with_their_symbol(room: Room) -> None:
    before = room.rows(before=DECEMBER)
    room.archive()
    table = pq.read_table(Path(room.folder) / room.files()[0])
    assert table.column_names == ["symbol", "timeframe", *COLUMNS[Dataset.CANDLES]]
    assert [tuple(row.values()) for row in table.to_pylist()] == before


def test_a_dry_run_says_what_would_go_and_touches_nothing(room: Room) -> None:
    before = room.rows()
    result = room.archive(dry_run=True)
    assert [(item.name, item.detail) for item in result.items] == [
        ("candles BTC/USDT 1h 2025-11", "720 rows would be archived"),
        ("candles BTC/USDT 1h 2025-12", "744 rows would be archived"),
    ]
    assert result.summary == "skipped: 1,464 candles to archive"
    assert (room.rows(), room.files(), room.states()) == (before, [], [])


def test_the_table_is_vacuumed_and_analysed_afterwards_and_only_then(room: Room) -> None:
    counts = "SELECT vacuum_count, analyze_count FROM pg_stat_user_tables WHERE relname = 'candles'"
    room.archive(dry_run=True)
    assert room.query(counts) == [(0, 0)]
    room.archive()
    wait_until("the table was vacuumed", lambda: room.query(counts) == [(1, 1)], 20)
    room.archive()
    assert room.query(counts) == [(1, 1)]


def test_a_second_run_finds_nothing_to_do(room: Room) -> None:
    room.archive()
    files = room.files()
    result = room.archive()
    assert (result.status, result.items) == (Status.SKIPPED, ())
    assert room.files() == files


def test_the_newest_rows_stay_however_old_they_are(room: Room) -> None:
    room.clock.advance(days=3650)
    room.spared = 24 * (14 + 28 + 10)  # from the 21st of January on
    room.archive()
    assert room.rows()[0][2] == JANUARY

    room.spared = 24 * 365
    assert room.archive().items == ()


def test_a_series_with_fewer_rows_than_are_spared_stays_whole(room: Room) -> None:
    room.spared = 10_000
    assert room.archive().items == ()


def test_a_timeframe_without_a_retention_stays(room: Room) -> None:
    retention = type(room.retention)({Dataset.CANDLES: {"5m": timedelta(days=1)}}, 0, {})
    assert room.archive(retention=retention).items == ()


def test_indicators_go_the_same_way_with_their_nulls(room: Room) -> None:
    width = len(COLUMNS[Dataset.INDICATORS]) - 2
    rows = [(NOVEMBER + n * HOUR, 1.5, *([None] * (width - 1)), n / 7) for n in range(24 * 100)]
    room.store_indicators(ETH_1H, rows)
    before = room.rows("indicators")
    result = room.archive()
    assert result.counts == {"candles archived": 1464, "indicator rows archived": 1464}
    assert room.rows("indicators") == [row for row in before if row[2] >= JANUARY]
    assert {file.split("/")[0] for file in room.files()} == {"candles", "indicators"}


def test_what_went_is_a_known_gap_and_the_status_counts_what_is_left(room: Room) -> None:
    verified = Span(DECEMBER, DECEMBER + 3 * HOUR)
    room.query("DELETE FROM candles WHERE opened_at >= :start AND opened_at < :end", **verified._asdict())
    room.query(
        "INSERT INTO candle_gaps VALUES ('BTC/USDT', '1h', :start, :end, 'verified_absent', '', 2, now(), now())",
        **verified._asdict(),
    )
    room.archive()
    with DatabaseSync(room.engine).open_session() as session:
        gaps = session.load_gaps(BTC_1H, Span(NOVEMBER, MARCH))
        status = session.load_states([BTC_1H])[BTC_1H].status
    assert [(gap.span, gap.state) for gap in gaps] == [
        (Span(NOVEMBER, DECEMBER), GapState.ARCHIVED),
        (verified, GapState.VERIFIED_ABSENT),
        (Span(verified.end, JANUARY), GapState.ARCHIVED),
    ]
    assert (status.oldest_at, status.wanted_from) == (JANUARY, NOVEMBER)
    assert status.candle_count == room.query("SELECT count(*) FROM candles")[0][0] + 3  # the three were never counted


def test_rows_that_come_after_their_month_was_archived_are_put_into_its_file(room: Room) -> None:
    late = room.query("SELECT * FROM candles WHERE opened_at = :at", at=DECEMBER)[0]
    room.query("DELETE FROM candles WHERE opened_at = :at", at=DECEMBER)
    room.archive()
    old = room.files()[1]
    room.query(
        "INSERT INTO candles VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j)",
        **dict(zip("abcdefghij", late, strict=True)),
    )
    result = room.archive()
    assert [item.detail for item in result.items] == ["rows came since it was archived; its file has them now"]
    assert room.states()[1] == ("2025-12", "archived", 744, 744)
    assert len(room.files()) == 2 and old not in room.files()  # the older file is gone, and nothing is in two files


def test_one_month_that_fails_does_not_stop_the_others_and_keeps_its_rows(room: Room) -> None:
    room.archive()
    broken = Path(room.folder) / room.files()[0]
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    room.store_candles(ETH_1H, NOVEMBER)
    room.query("INSERT INTO candles VALUES ('BTC/USDT', '1h', :at, 1, 1, 1, 1, 1, 1, 1)", at=NOVEMBER)
    result = room.archive()
    assert result.status is Status.PARTIAL
    (failed,) = result.failed
    assert failed.name == "candles BTC/USDT 1h 2025-11" and "checksum" in failed.detail
    assert room.rows(before=DECEMBER)[0][:3] == ("BTC/USDT", "1h", NOVEMBER)
    assert result.counts["candles archived"] == 1464  # ETH


def test_a_file_that_the_database_can_do_without_is_written_anew(room: Room) -> None:
    room.archive()
    room.restore(NOVEMBER, DECEMBER)
    (Path(room.folder) / room.files()[0]).unlink()
    room.clock.advance(days=31)
    assert room.archive().status is Status.OK
    assert [state for _, state, *_ in room.states()] == ["archived"] * 3  # January is old, too, by now
    assert room.restore(NOVEMBER, FEBRUARY).counts == {"candles restored": 24 * 92}


def test_rows_that_change_while_they_are_archived_stay(room: Room) -> None:
    def change(done: int, total: int, what: str) -> None:
        room.query("UPDATE candles SET volume = volume + 1 WHERE opened_at = :at", at=NOVEMBER + HOUR)

    before = room.rows(before=DECEMBER)
    result = room.archive(show=change)
    assert ["changed while it was archived" in item.detail for item in result.failed] == [True]
    assert result.failed[0].retryable
    after = room.rows(before=DECEMBER)
    assert [row[:3] for row in after] == [row[:3] for row in before]

    assert room.archive().status is Status.OK
    assert room.rows(before=FEBRUARY)[0][2] == JANUARY
    room.restore(NOVEMBER, DECEMBER)
    assert room.rows(before=DECEMBER) == after  # as they were last
