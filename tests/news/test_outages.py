"""Feeds that go on failing, and what people are told of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from lib.adapters.database import migrate
from lib.adapters.database.engine import make_engine
from lib.adapters.database.news import DatabaseNews
from lib.errors import AllItemsFailed
from tests.news.newsroom import Newsroom
from tests.news.publisher import NOON, item, rss

STORY = item("Bitcoin rises as bulls return", "http://paper.example/rises", NOON - timedelta(hours=2))


def messages(room: Newsroom) -> list[Any]:
    query = text("SELECT severity, type, title, body, created_at FROM notifications ORDER BY created_at, title")
    with room.engine.connect() as connection:
        return list(connection.execute(query))


async def fetch_hourly(room: Newsroom, feeds: dict[str, str], times: int) -> None:
    for _ in range(times):
        room.clock.move(hours=1)
        await room.fetch(feeds)


async def test_a_feed_that_has_failed_for_a_day_is_told_once_an_outage(room: Newsroom) -> None:
    feeds = {"paper": room.publisher.publish("/rss", rss(STORY)), "dead": room.publisher.url + "/dead?token=secret"}
    await fetch_hourly(room, feeds, times=24)
    assert messages(room) == []
    await fetch_hourly(room, feeds, times=48)
    (told,) = messages(room)
    assert (told.severity, told.type, told.title) == ("warning", "operations", "⚠️ News feed fails: dead")
    assert told.created_at == NOON + timedelta(hours=25)
    assert told.body.startswith("Failing since 2026-03-02 13:00 UTC, 25 failed tries. The last one: ")
    assert "answers 404" in told.body and "FKS_NEWS_FEEDS" in told.body
    assert "secret" not in told.body

    room.publisher.publish("/dead", rss(STORY))
    await fetch_hourly(room, feeds, times=1)
    room.publisher.publish("/dead", "", status=500)
    await fetch_hourly(room, feeds, times=24)
    assert len(messages(room)) == 1
    await fetch_hourly(room, feeds, times=2)
    assert [message.title for message in messages(room)] == ["⚠️ News feed fails: dead"] * 2


async def test_people_are_told_when_every_feed_fails_too(room: Newsroom) -> None:
    feeds = {name: f"{room.publisher.url}/{name}" for name in ("a", "b")}
    for _ in range(26):
        with pytest.raises(AllItemsFailed):
            await room.fetch(feeds)
        room.clock.move(hours=1)
    assert [message.title for message in messages(room)] == ["⚠️ News feed fails: a", "⚠️ News feed fails: b"]


async def test_a_platform_that_stood_still_for_a_week_says_nothing_of_the_first_failure(room: Newsroom) -> None:
    feeds = {"paper": room.publisher.publish("/rss", rss(STORY)), "other": room.publisher.publish("/other", rss())}
    await room.fetch(feeds)
    room.publisher.publish("/rss", "", status=503)
    room.clock.move(days=7)
    await room.fetch(feeds)
    assert messages(room) == []


async def test_a_feed_that_got_another_address_fails_anew(room: Newsroom) -> None:
    good = room.publisher.publish("/rss", rss(STORY))
    await fetch_hourly(room, {"paper": good, "dead": room.publisher.url + "/dead"}, times=23)
    moved = {"paper": good, "dead": room.publisher.url + "/moved"}
    await fetch_hourly(room, moved, times=24)
    assert messages(room) == []
    await fetch_hourly(room, moved, times=1)
    assert [message.body[:54] for message in messages(room)] == [
        "Failing since 2026-03-03 12:00 UTC, 25 failed tries. T"
    ]


def test_a_feed_that_fails_when_the_database_is_upgraded_does_so_since_its_last_good_answer(
    empty_database_url: str,
) -> None:
    migrate.upgrade(empty_database_url, "0014")
    engine = make_engine(empty_database_url)
    failing = "INSERT INTO news_feeds VALUES ('dead', 'x', NULL, NULL, :at, :ok, 'answers 404', 9), "
    well = "('paper', 'x', NULL, NULL, :at, :at, NULL, 0)"
    with engine.begin() as connection:
        connection.execute(text(failing + well), {"at": NOON, "ok": NOON - timedelta(hours=9)})
    migrate.upgrade(empty_database_url)
    feeds = DatabaseNews(engine).load_feeds()
    engine.dispose()
    assert feeds["dead"].failing_since == NOON - timedelta(hours=9)
    assert feeds["paper"].failing_since is None
