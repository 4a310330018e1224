"""Sessions of synchronisation: their locks, and that what they save is whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.errors import CheckViolation
from sqlalchemy import Engine, text

from lib.adapters.database.sync import DatabaseSync
from lib.errors import DatabaseUnavailable
from lib.market.candles import Candle
from lib.market.gaps import Gap, GapState, Span
from lib.market.series import Series, SyncStatus
from lib.market.stores import SeriesChange
from lib.ports import Written
from tests.stored import load_candles

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIVE = timedelta(minutes=5)
BTC, ETH = Series("BTC/USDT", "5m"), Series("ETH/USDT", "5m")
DAY = Span(NOON, NOON + timedelta(days=1))
STATUS = SyncStatus(NOON, NOON + FIVE, NOON, 0, NOON, NOON, "an error", 3)


def candle(number: int, close: float = 2.0) -> Candle:
    return Candle(NOON + number * FIVE, 2.0, 3.0, 1.0, close, 0.1 + 0.2, None, None)


def test_a_series_is_locked_by_one_session_at_a_time(engine: Engine) -> None:
    store = DatabaseSync(engine)
    with store.open_session() as first, store.open_session() as second:
        assert first.try_lock([BTC, ETH]) == {BTC, ETH}
        assert second.try_lock([BTC, ETH]) == set()
        first.unlock([BTC])
        assert second.try_lock([BTC, ETH]) == {BTC}


def test_the_end_of_a_session_gives_its_locks_back_though_its_connection_lives_on(engine: Engine) -> None:
    store = DatabaseSync(engine)
    with store.open_session() as first:
        first.try_lock([BTC])
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    with store.open_session() as other, store.open_session() as second:
        assert other.try_lock([]) == set()
        assert second.try_lock([BTC]) == {BTC}


def test_who_has_lost_the_locks_cannot_write_any_more(engine: Engine) -> None:
    store = DatabaseSync(engine)
    with store.open_session() as session:
        session.try_lock([BTC])
        with engine.connect() as other:
            pid = session.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            session.connection.rollback()
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                session.save([SeriesChange(BTC, STATUS, [candle(0)])])
    assert load_candles(engine, BTC) == []


def test_what_is_saved_is_loaded_again(engine: Engine) -> None:
    gaps = [
        Gap(Span(NOON - 3 * FIVE, NOON - FIVE), NOON, GapState.OPEN, "lost", 1),
        Gap(Span(NOON - 9 * FIVE, NOON - 5 * FIVE), NOON, GapState.VERIFIED_ABSENT, "absent", 2, NOON),
    ]
    with DatabaseSync(engine).open_session() as session:
        written = session.save([SeriesChange(BTC, STATUS, [candle(0), candle(1)], gaps=gaps)])
        states = session.load_states([BTC, ETH])
        every = session.load_gaps(BTC, Span(NOON - 6 * FIVE, NOON))
    assert written == {BTC: Written(2, 0)}
    assert states[BTC].status == SyncStatus(NOON, NOON + FIVE, NOON, 2, NOON, NOON, "an error", 3)
    assert states[BTC].gaps == (gaps[0],)
    assert (states[ETH].status, states[ETH].gaps) == (SyncStatus(), ())
    assert every == [gaps[1], gaps[0]]
    assert load_candles(engine, BTC) == [candle(0), candle(1)]


def test_dropped_gaps_are_gone_and_rewritten_ones_replaced(engine: Engine) -> None:
    first, second = Gap(Span(NOON, NOON + FIVE), NOON), Gap(Span(NOON + 2 * FIVE, NOON + 6 * FIVE), NOON)
    shorter = Gap(Span(NOON + 2 * FIVE, NOON + 4 * FIVE), NOON, attempts=5)
    with DatabaseSync(engine).open_session() as session:
        session.save([SeriesChange(BTC, STATUS, gaps=[first, second]), SeriesChange(ETH, STATUS, gaps=[first])])
        session.save([SeriesChange(BTC, STATUS, dropped=[NOON], gaps=[shorter])])
        assert session.load_gaps(BTC, DAY) == [shorter]
        assert session.load_gaps(ETH, DAY) == [first]


def test_refetched_candles_count_as_revised_when_they_differ(engine: Engine) -> None:
    with DatabaseSync(engine).open_session() as session:
        session.save([SeriesChange(BTC, STATUS, [candle(0)]), SeriesChange(ETH, STATUS, [candle(0)])])
        changes = [
            SeriesChange(BTC, STATUS, [candle(1), candle(2)], [candle(0)]),
            SeriesChange(ETH, STATUS, [candle(1)], [candle(0, close=2.5)]),
        ]
        assert session.save(changes) == {BTC: Written(2, 0), ETH: Written(1, 1)}


def test_a_candle_that_was_thought_new_and_is_stored_is_updated(engine: Engine) -> None:
    with DatabaseSync(engine).open_session() as session:
        session.save([SeriesChange(BTC, STATUS, [candle(0), candle(1)])])
        written = session.save([SeriesChange(BTC, STATUS, [candle(1, close=2.5), candle(2)])])
    assert written == {BTC: Written(1, 1)}
    assert load_candles(engine, BTC) == [candle(0), candle(1, close=2.5), candle(2)]


def test_changes_are_stored_all_or_not_at_all(engine: Engine) -> None:
    impossible = candle(1)._replace(low=9.0)
    with DatabaseSync(engine).open_session() as session:
        with pytest.raises(CheckViolation):
            session.save([SeriesChange(BTC, STATUS, [candle(0)]), SeriesChange(ETH, STATUS, [impossible])])
        assert session.load_states([BTC])[BTC].status == SyncStatus()
    assert load_candles(engine, BTC) == []


def test_an_inventory_tells_ends_count_and_holes(engine: Engine) -> None:
    with DatabaseSync(engine).open_session() as session:
        session.save([SeriesChange(BTC, STATUS, [candle(number) for number in (0, 1, 4, 5, 9)])])
        inventory = session.take_inventory(BTC, Span(NOON, NOON + 12 * FIVE))
        assert (inventory.oldest_at, inventory.newest_at, inventory.count) == (NOON, NOON + 9 * FIVE, 5)
        assert inventory.holes == (
            Span(NOON + 2 * FIVE, NOON + 4 * FIVE),
            Span(NOON + 6 * FIVE, NOON + 9 * FIVE),
        )
        assert inventory.find_missing(Span(NOON - FIVE, NOON + 12 * FIVE), FIVE) == [
            Span(NOON - FIVE, NOON),
            *inventory.holes,
            Span(NOON + 10 * FIVE, NOON + 12 * FIVE),
        ]
        empty = session.take_inventory(ETH, DAY)
        assert (empty.count, empty.find_missing(DAY, FIVE)) == (0, [DAY])
