"""The way back from the archive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from lib.adapters.database.sync import DatabaseSync
from lib.errors import AllItemsFailed, ArchiveBusy, OperatorError
from lib.market.gaps import GapState, Span
from lib.market.run import SyncOptions
from lib.market.sync import sync_market_data
from lib.results import Status
from tests.archive.rooms import BTC_1H, DECEMBER, ETH_1H, FEBRUARY, JANUARY, MARCH, NOVEMBER, Room
from tests.market.exchanges import HandExchange
from tests.prefect_servers import wait_until

HOUR = timedelta(hours=1)


def test_restored_rows_are_identical_and_doing_it_again_changes_nothing(room: Room) -> None:
    before = room.rows()
    room.archive()
    result = room.restore(NOVEMBER, JANUARY)
    assert (result.status, result.counts) == (Status.OK, {"candles restored": 61 * 24})
    assert room.rows() == before

    again = room.restore(NOVEMBER, JANUARY)
    assert (again.status, again.counts) == (Status.SKIPPED, {"candles restored": 0})
    assert "was in the database already" in again.items[0].detail
    assert room.rows() == before


def test_whole_months_that_touch_the_window_come_back_and_of_those_symbols_only(room: Room) -> None:
    room.store_candles(ETH_1H, NOVEMBER)
    room.archive()
    result = room.restore(DECEMBER - HOUR, DECEMBER, symbols=["ETH/USDT"], timeframes=["1h"])
    assert [item.name for item in result.items] == ["candles ETH/USDT 1h 2025-11"]
    assert {row[0] for row in room.rows(before=JANUARY)} == {"ETH/USDT"}


def test_the_status_and_the_gaps_are_as_before_the_archive(room: Room) -> None:
    with DatabaseSync(room.engine).open_session() as session:
        before = session.load_states([BTC_1H])
        room.archive()
        room.restore(DECEMBER, JANUARY)
        assert [gap.span for gap in session.load_gaps(BTC_1H, Span(NOVEMBER, MARCH))] == [Span(NOVEMBER, DECEMBER)]
        room.restore(NOVEMBER, JANUARY)
        assert session.load_gaps(BTC_1H, Span(NOVEMBER, MARCH)) == []
        assert session.load_states([BTC_1H]) == before


def test_what_is_restored_stays_for_its_time_and_the_night_says_so(room: Room) -> None:
    before = room.rows()
    room.archive()
    room.restore(DECEMBER, JANUARY, keep=timedelta(days=3))
    for _ in range(2):
        room.clock.advance(days=1)
        night = room.archive()
        (item,) = night.items
        assert (item.name, item.status) == ("candles BTC/USDT 1h 2025-12", Status.SKIPPED)
        assert item.detail == "restored from the archive; stays in the database until 2026-03-18 03:00 UTC"
    files = room.files()
    room.clock.advance(days=1)
    (item,) = room.archive().items
    assert item.detail == "restored before, and archived again: its file is as it was"
    assert room.files() == files
    room.restore(NOVEMBER, JANUARY)
    assert room.rows() == before


def test_a_row_that_is_stored_is_left_as_it_is(room: Room) -> None:
    room.archive()
    room.query("INSERT INTO candles VALUES ('BTC/USDT', '1h', :at, 1, 1, 1, 1, 77, 1, 1)", at=NOVEMBER)
    result = room.restore(NOVEMBER, DECEMBER)
    assert result.items[0].detail.startswith("719 rows restored, the others were there")
    assert room.rows(before=DECEMBER)[0][7] == 77


def test_what_was_never_archived_is_told_with_what_was(room: Room) -> None:
    with pytest.raises(OperatorError, match="The archive is empty"):
        room.restore(NOVEMBER, DECEMBER)
    room.archive()
    with pytest.raises(OperatorError, match="candles 1h from 2025-11 to 2025-12"):
        room.restore(FEBRUARY, MARCH)


def test_a_damaged_file_restores_nothing_and_the_others_come_back(room: Room) -> None:
    room.archive()
    broken = Path(room.folder) / room.files()[0]
    broken.write_bytes(broken.read_bytes()[:100])
    result = room.restore(NOVEMBER, JANUARY)
    assert result.status is Status.PARTIAL
    assert "Put it back from a backup" in result.failed[0].detail
    assert {row[2].month for row in room.rows(before=JANUARY)} == {12}
    broken.unlink()
    with pytest.raises(AllItemsFailed, match="is not there"):
        room.restore(NOVEMBER, DECEMBER)


def test_while_one_works_another_one_says_so(room: Room) -> None:
    with room.parts.store.open_session():
        result = room.archive()
        assert (result.status, result.items[0].detail) == (
            Status.SKIPPED,
            "Another run archives or restores now. Start this again when it has ended.",
        )
        with pytest.raises(ArchiveBusy):
            room.restore(NOVEMBER, DECEMBER)
    assert room.archive().status is Status.OK


def test_a_sync_that_holds_the_series_is_waited_for(room: Room) -> None:
    before = room.rows()
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = " + (
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with DatabaseSync(room.engine).open_session() as session, ThreadPoolExecutor(1) as thread:
        assert session.try_lock([BTC_1H]) == {BTC_1H}
        night = thread.submit(room.archive)
        wait_until("the archive waits for the sync", lambda: room.query(waiting) == [(1,)], 20)
        assert room.rows() == before
        session.unlock([BTC_1H])
        assert night.result(20).status is Status.OK


async def test_a_sync_fetches_nothing_of_what_is_archived_even_where_more_history_is_wanted(room: Room) -> None:
    room.archive()
    stored = room.rows()
    exchange = HandExchange(room.clock)
    for days in (60, 200):  # the second time older candles are wanted, of which those from November on are archived
        room.clock.advance(days=1)
        await sync_market_data(
            exchange=exchange,
            store=DatabaseSync(room.engine),
            clock=room.clock,
            options=SyncOptions({"1h": timedelta(days=days)}),
            symbols=["BTC/USDT"],
        )
    assert [row for row in room.rows() if row[2] >= NOVEMBER] == stored
    assert room.rows()[0][2] < NOVEMBER
    assert not [since for _, since, _ in exchange.asked if NOVEMBER <= since < JANUARY]
    with DatabaseSync(room.engine).open_session() as session:
        gaps = session.load_gaps(BTC_1H, Span(NOVEMBER - 300 * HOUR, MARCH))
    assert [(gap.span, gap.state) for gap in gaps] == [(Span(NOVEMBER, JANUARY), GapState.ARCHIVED)]
