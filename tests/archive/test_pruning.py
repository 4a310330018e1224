"""What is deleted without an archive when it is old, and what is not; and how large the tables are."""

from __future__ import annotations

from datetime import timedelta

from deployments import postgres
from lib.adapters.database.notifications import NotificationStore
from lib.archive.archiving import Retention
from lib.archive.report import ArchiveResult, render_bytes
from lib.archive.stores import Prunable
from lib.notifications.messages import Attachment, Message, MessageType, Severity
from lib.results import Status
from tests.archive.rooms import NOW, Room

OLD, YOUNG = NOW - timedelta(days=100), NOW - timedelta(days=10)
MONTH = timedelta(days=30)


def prune(room: Room, *what: Prunable, dry_run: bool = False) -> ArchiveResult:
    return room.archive(retention=Retention({}, 0, dict.fromkeys(what, MONTH)), dry_run=dry_run)


def test_old_holds_go_and_buys_stay_with_their_sizes(empty_room: Room) -> None:
    room = empty_room
    room.query("INSERT INTO accounts VALUES ('demo', 'live', 'simulator', 'USDT', now())")
    room.query("INSERT INTO strategies VALUES ('trend', 'active', '', now(), 1)")
    room.query(
        "INSERT INTO strategy_parameters VALUES ('trend', 1, 'active', '{}', NULL, '', NULL, NULL, 'code', now())"
    )
    for action, levels in (("hold", "NULL, NULL, NULL"), ("buy", "90, 120, 0.5")):
        for number, at in enumerate((OLD, YOUNG)):
            room.query(
                f"INSERT INTO signals VALUES ('1h', :at, 'trend', :symbol, '{action}', 1, 100, {levels}, '[]', :at)",
                at=at,
                symbol=f"{action.upper()}{number}/USDT",
            )
    room.query(
        "INSERT INTO signal_sizes VALUES ('1h', :at, 'trend', 'BUY0/USDT', 'demo', 1, 'risk', '', :at)",
        at=OLD,
    )
    dry = prune(room, Prunable.HOLD_SIGNALS, dry_run=True)
    assert dry.counts == {"old HOLD signals to delete": 1}
    assert dry.items[0].detail == "1 HOLD signal from before 2026-02-13 would be deleted"
    result = prune(room, Prunable.HOLD_SIGNALS)
    assert (result.status, result.counts) == (Status.OK, {"old HOLD signals deleted": 1})
    assert room.query("SELECT symbol FROM signals ORDER BY 1") == [("BUY0/USDT",), ("BUY1/USDT",), ("HOLD1/USDT",)]
    assert prune(room, Prunable.HOLD_SIGNALS).status is Status.SKIPPED


def test_old_files_go_once_nobody_waits_for_them_and_their_messages_stay(empty_room: Room) -> None:
    room = empty_room
    outbox = NotificationStore(room.engine)
    picture = (Attachment("chart.png", "image/png", b"png"),)
    for key, at in (("delivered", OLD), ("waiting", OLD), ("unrouted", OLD), ("young", YOUNG)):
        outbox.record(Message(MessageType.SIGNAL, Severity.INFO, key, "body", key, at, attachments=picture))
    room.query("UPDATE notifications SET routed_at = created_at WHERE title <> 'unrouted'")
    room.query(
        "INSERT INTO notification_deliveries (notification_id, channel, priority, state, attempts, parts_sent, doubts, "
        "refusals, text_sent, created_at, next_attempt_at, delivered_at, last_error) "
        "SELECT notification_id, 'team', 1, CASE title WHEN 'delivered' THEN 'delivered' ELSE 'pending' END, 1, 0, 0, "
        "0, true, created_at, created_at, CASE title WHEN 'delivered' THEN created_at END, '' FROM notifications "
        "WHERE title IN ('delivered', 'waiting')"
    )
    assert prune(room, Prunable.ATTACHMENTS).counts == {"old attachments deleted": 1}
    left = "SELECT title FROM notifications JOIN notification_attachments USING (notification_id) ORDER BY 1"
    assert room.query(left) == [("unrouted",), ("waiting",), ("young",)]
    assert room.query("SELECT count(*) FROM notifications") == [(4,)]


def test_old_news_go_with_their_repetitions(empty_room: Room) -> None:
    room = empty_room
    for key, at, same_as in (
        ("a", OLD, None),
        ("b", OLD, "a"),
        ("c", YOUNG, None),
        ("d", OLD, None),
        ("e", YOUNG, "d"),
    ):
        room.query(
            "INSERT INTO news_articles VALUES (:key, '', 'feed', 'title', '', :at, 'feed', :at, '{}', NULL, :same_as)",
            key=key,
            at=at,
            same_as=same_as,
        )
    assert prune(room, Prunable.NEWS).counts == {"old news articles deleted": 2}
    assert room.query("SELECT article_key FROM news_articles ORDER BY 1") == [("c",), ("d",), ("e",)]


def test_the_tables_are_measured_every_night_and_their_growth_is_told(room: Room) -> None:
    first = room.archive()
    assert first.sizes[0].name == "" and first.sizes[0].size_bytes > first.sizes[1].size_bytes
    assert (first.sizes[0].grown_day, first.sizes[0].grown_week) == (None, None)
    [[size]] = room.query("SELECT pg_total_relation_size('candles')")
    assert {one.name: one.size_bytes for one in first.sizes}["candles"] == size

    room.query("UPDATE table_sizes SET day = day - 1, size_bytes = 2 WHERE name = 'candles'")
    room.query(
        "INSERT INTO table_sizes SELECT day - 6, name, 1, 0, measured_at FROM table_sizes WHERE name = 'candles'"
    )
    second = room.archive()
    candles = next(one for one in second.sizes if one.name == "candles")
    assert (candles.grown_day, candles.grown_week) == (candles.size_bytes - 2, candles.size_bytes - 1)
    shown = "\n".join(second.render_tables())
    assert "since yesterday" in shown and f"+{render_bytes(candles.size_bytes - 2)}" in shown


def test_prefects_own_database_on_the_same_server_is_measured_too(room: Room, database_server: postgres.Server) -> None:
    database_server.ensure_database("prefect")
    sizes = {one.name: one.size_bytes for one in room.archive().sizes}
    assert sizes["database prefect"] > 1_000_000
    assert next(iter(sizes)) == ""


def test_bytes_are_told_in_the_unit_that_fits() -> None:
    assert [render_bytes(size) for size in (0, 999, 1000, 1_234_567, 5_000_000_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "5,000.0 TB",
    ]
