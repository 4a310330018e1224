"""What people see at a glance is what lies in the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.overview import StoredSeries, load_messages, load_series
from lib.adapters.database.sync import DatabaseSync
from lib.market.candles import Candle
from lib.market.gaps import Gap, GapState, Span
from lib.market.series import Series, SyncStatus
from lib.market.stores import SeriesChange
from lib.notifications.messages import Attachment, Message, MessageType, Severity

START = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
BTC, SOL = Series("BTC/USDT", "1h"), Series("SOL/USDT", "1h")


def make_candle(hours: int) -> Candle:
    return Candle(START + hours * HOUR, 1.0, 2.0, 0.5, 1.5, 10.0, 15.0, 3)


def test_candles_are_counted_and_gaps_are_told_in_candles(engine: Engine) -> None:
    gaps = [
        Gap(Span(START + 1 * HOUR, START + 3 * HOUR), START, GapState.VERIFIED_ABSENT),
        Gap(Span(START + 4 * HOUR, START + 5 * HOUR), START),
        Gap(Span(START + 6 * HOUR, START + 8 * HOUR), START),
    ]
    stored = [make_candle(hours) for hours in (0, 3, 5, 8)]
    status = SyncStatus(START, START + 8 * HOUR, START, candle_count=77)
    failed = SyncStatus(error="the exchange did not answer", consecutive_failures=1)
    with DatabaseSync(engine).open_session() as session:
        session.save([SeriesChange(BTC, status, stored, gaps=gaps), SeriesChange(SOL, failed)])
    found = load_series(engine)
    assert found == [
        StoredSeries(BTC, 4, START, START + 8 * HOUR, START, 3, 2, 0, None),
        StoredSeries(SOL, 0, None, None, None, 0, 0, 0, "the exchange did not answer"),
    ]
    assert [one.missing for one in found] == [3, 0]


def test_messages_come_as_they_were_recorded_with_their_files_oldest_first(engine: Engine) -> None:
    messages = [
        Message(MessageType.STOP_LOSS, Severity.URGENT, "🛑 first", "Sell.", "one", START, "http://here/1"),
        Message(
            MessageType.OPERATIONS,
            Severity.INFO,
            "second",
            "Nothing to do.",
            "two",
            START + HOUR,
            attachments=(Attachment("one.png", "image/png", b"1"), Attachment("two.png", "image/png", b"2")),
        ),
    ]
    outbox = NotificationStore(engine)
    for message in messages:
        outbox.record(message)
    assert load_messages(engine) == messages


def test_what_the_exchange_never_had_before_the_first_candle_is_not_missing() -> None:
    listed_late = StoredSeries(BTC, 3, START + 4 * HOUR, START + 6 * HOUR, START, 0, 4, 0, None)
    assert listed_late.missing == 0


def test_what_is_in_the_archive_is_not_missing() -> None:
    archived = StoredSeries(BTC, 3, START + 4 * HOUR, START + 6 * HOUR, START, 0, 1, 3, None)
    assert archived.missing == 0
