"""Fetching news over HTTP into PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from lib.adapters.feeds import HttpFeeds
from lib.errors import AllItemsFailed
from lib.news.report import NewsResult
from lib.results import Status
from tests.news.newsroom import Newsroom
from tests.news.publisher import NOON, item, rss

RISES = item("Bitcoin rises as bulls return", "http://paper.example/rises?utm_source=rss", NOON - timedelta(hours=2))
FALLS = item("Solana plunges after hack", "http://paper.example/falls", NOON - timedelta(hours=1))


async def test_articles_are_stored_with_their_times_assets_and_sentiment(room: Newsroom) -> None:
    result = await room.fetch({"paper": room.publisher.publish("/rss", rss(RISES, FALLS))})
    assert result.status is Status.OK
    assert result.summary == "ok: 2 new stories"
    assert [item.detail for item in result.items] == ["2 new of 2"]
    falls, rises = room.rows()
    assert (rises["article_key"], rises["url"]) == ("paper.example/rises", "http://paper.example/rises")
    assert (rises["published_at"], rises["fetched_at"]) == (NOON - timedelta(hours=2), NOON)
    assert (rises["feed"], rises["assets"], rises["dated_by"]) == ("paper", ["BTC"], "feed")
    assert falls["assets"] == ["SOL"]
    assert falls["sentiment"] < 0 < rises["sentiment"]


async def test_an_article_is_stored_once_and_never_changed(room: Newsroom) -> None:
    url = room.publisher.publish("/rss", rss(RISES))
    await room.fetch({"paper": url})
    before = room.rows()
    room.clock.move(hours=1)
    edited = RISES.replace("rises as", "falls after").replace("utm_source=rss", "utm_source=other")
    room.publisher.publish("/rss", rss(edited, FALLS))
    result = await room.fetch({"paper": url})
    assert result.counts["new stories"] == 1
    assert [row for row in room.rows() if row["article_key"] == "paper.example/rises"] == before
    assert (await room.fetch({"paper": url})).summary == "ok: nothing to do"


async def test_a_feed_that_has_not_changed_is_skipped_as_fresh(room: Newsroom) -> None:
    url = room.publisher.publish("/rss", rss(RISES), headers={"ETag": '"v1"'})
    await room.fetch({"paper": url})
    room.clock.move(hours=1)
    result = await room.fetch({"paper": url})
    assert result.status is Status.SKIPPED
    assert result.items[0].detail == "fresh: not modified"
    (feed,) = room.rows("news_feeds")
    assert (feed["etag"], feed["last_ok_at"]) == ('"v1"', NOON + timedelta(hours=1))


async def test_another_address_under_the_same_name_is_another_feed(room: Newsroom) -> None:
    await room.fetch({"paper": room.publisher.publish("/rss", rss(RISES), headers={"ETag": '"v1"'})})
    result = await room.fetch({"paper": room.publisher.publish("/other", rss(FALLS), headers={"ETag": '"v1"'})})
    assert result.counts["new stories"] == 1


async def test_the_same_link_in_two_feeds_is_one_article(room: Newsroom) -> None:
    feeds = {name: room.publisher.publish(f"/{name}", rss(RISES)) for name in ("paper", "mirror")}
    result = await room.fetch(feeds)
    assert result.counts["new stories"] == 1
    assert [row["feed"] for row in room.rows()] == ["paper"]


async def test_one_story_in_two_feeds_counts_once_also_in_a_later_run(room: Newsroom) -> None:
    first = room.publisher.publish("/paper", rss(RISES))
    again = item("Bitcoin Rises, As Bulls Return", "http://mirror.example/x", NOON - timedelta(hours=1))
    second = room.publisher.publish("/mirror", rss(again))
    await room.fetch({"paper": first})
    result = await room.fetch({"paper": first, "mirror": second})
    assert result.summary == "ok: 1 repeated"
    assert result.stories == ()
    assert {row["article_key"]: row["same_as"] for row in room.rows()} == {
        "mirror.example/x": "paper.example/rises",
        "paper.example/rises": None,
    }
    assert (await room.fetch({"paper": first, "mirror": second})).summary == "ok: nothing to do"


async def test_of_one_story_in_one_run_the_earlier_one_counts_and_both_sources_are_shown(room: Newsroom) -> None:
    later = item("Bitcoin Rises, As Bulls Return", "http://mirror.example/x", NOON - timedelta(hours=1))
    feeds = {"mirror": room.publisher.publish("/m", rss(later)), "paper": room.publisher.publish("/p", rss(RISES))}
    result = await room.fetch(feeds)
    assert result.counts == {"new stories": 1, "repeated": 1, "left for the next run": 0}
    assert [(line.sources, line.url) for line in result.stories] == [
        (("paper", "mirror"), "http://paper.example/rises")
    ]


async def test_a_broken_feed_makes_the_result_partial_and_is_on_record(room: Newsroom) -> None:
    good = room.publisher.publish("/rss", rss(RISES))
    gone = room.publisher.url + "/gone?token=secret"
    for failures in (1, 2):
        room.clock.move(hours=1)
        result = await room.fetch({"paper": good, "gone": gone})
        assert result.status is Status.PARTIAL
        assert [item.name for item in result.failed] == ["gone"]
        record, paper = room.rows("news_feeds")
        assert (record["consecutive_failures"], record["last_ok_at"]) == (failures, None)
        assert record["error"] == result.failed[0].detail
        assert "answers 404" in record["error"]
        assert "secret" not in str(record)
        assert paper["error"] is None
    room.publisher.publish("/gone", rss(FALLS))
    assert (await room.fetch({"paper": good, "gone": gone})).status is Status.OK
    assert room.rows("news_feeds")[0]["consecutive_failures"] == 0


@pytest.mark.parametrize(("status", "retryable"), [(404, False), (503, True)])
async def test_when_every_feed_fails_the_task_fails_and_that_is_on_record(
    room: Newsroom, status: int, retryable: bool
) -> None:
    feeds = {name: room.publisher.publish(f"/{name}", "", status=status) for name in ("a", "b")}
    with pytest.raises(AllItemsFailed, match=f"answers {status}") as raised:
        await room.fetch(feeds)
    assert raised.value.retryable is retryable
    assert [row["consecutive_failures"] for row in room.rows("news_feeds")] == [1, 1]


async def test_a_failure_does_not_forget_how_to_ask_for_changes(room: Newsroom) -> None:
    url = room.publisher.publish("/rss", rss(RISES), headers={"ETag": '"v1"'})
    other = room.publisher.publish("/other", rss())
    await room.fetch({"paper": url, "other": other})
    room.publisher.publish("/rss", "", status=503)
    await room.fetch({"paper": url, "other": other})
    room.publisher.publish("/rss", rss(RISES), headers={"ETag": '"v1"'})
    result = await room.fetch({"paper": url, "other": other})
    assert result.items[0].detail == "fresh: not modified"


async def test_entries_without_a_date_or_ahead_of_time_are_dated_when_they_were_fetched(room: Newsroom) -> None:
    undated = item("Told without a date", "http://paper.example/1", None)
    ahead = item("Told before it happened", "http://paper.example/2", NOON + timedelta(days=400))
    await room.fetch({"paper": room.publisher.publish("/rss", rss(undated, ahead))})
    assert [(row["dated_by"], row["published_at"]) for row in room.rows()] == [("fetch", NOON), ("clamp", NOON)]


async def test_entries_that_cannot_be_known_again_are_counted_and_left_out(room: Newsroom) -> None:
    broken = [item("No link", ""), item("", "http://paper.example/x"), item("Bad", "javascript:alert(1)"), RISES, RISES]
    result = await room.fetch({"paper": room.publisher.publish("/rss", rss(*broken))})
    assert result.items[0].detail == "1 new of 5, 4 repeated in it, or without a web address or text"
    assert [row["article_key"] for row in room.rows()] == ["paper.example/rises"]


async def test_beyond_the_limit_the_newest_come_first_and_the_others_in_the_next_run(room: Newsroom) -> None:
    stories = [item(f"Story {n}", f"http://paper.example/{n}", NOON - timedelta(hours=n)) for n in range(5)]
    feeds = {"paper": room.publisher.publish("/rss", rss(*stories), headers={"ETag": '"v1"'})}
    first = await room.fetch(feeds, limit=2)
    assert first.items[0].detail == "2 new of 5, 3 left for the next run"
    assert [row["title"] for row in room.rows()] == ["Story 0", "Story 1"]
    await room.fetch(feeds, limit=2)
    assert [row["title"] for row in room.rows()] == ["Story 0", "Story 1", "Story 2", "Story 3"]
    await room.fetch(feeds, limit=2)
    assert len(room.rows()) == 5
    assert (await room.fetch(feeds, limit=2)).status is Status.SKIPPED


async def test_a_feed_that_breaks_off_is_partial_and_read_whole_in_the_next_run(room: Newsroom) -> None:
    whole = rss(RISES, FALLS)
    url = room.publisher.publish("/rss", whole[: whole.index("/falls") + 3], headers={"ETag": '"v1"'})
    result = await room.fetch({"paper": url})
    assert result.status is Status.PARTIAL
    assert result.items[0].detail == "1 new of 1, the feed breaks off; its last entry is left for the next run"
    room.publisher.publish("/rss", whole, headers={"ETag": '"v1"'})
    assert (await room.fetch({"paper": url})).counts["new stories"] == 1
    assert {row["article_key"] for row in room.rows()} == {"paper.example/rises", "paper.example/falls"}


async def test_without_feeds_nothing_has_to_be_done(room: Newsroom) -> None:
    result = await room.fetch({})
    assert (result.status, result.render_tables()) == (Status.SKIPPED, [])


async def test_the_table_shows_foreign_titles_as_they_are(room: Newsroom) -> None:
    title = "A | [link](http://evil.example) <img src=x> @everyone & *Bitcoin*"
    url = room.publisher.publish("/rss", rss(item(title, "http://paper.example/a)b|c", NOON)))
    result = await room.fetch({"pa|per": url})
    (table,) = result.render_tables()
    row = table.splitlines()[2]
    assert row.replace(r"\|", "").count("|") == 6
    assert r"(<http://paper.example/a%29b%7Cc>)" in row
    assert "http://evil" not in row
    assert "<img" not in row
    assert "@everyone" not in row
    assert r"\*Bitcoin\*" in row
    assert "2026-03-02 12:00" in row


async def test_a_text_with_signs_that_the_database_refuses_is_stored(room: Newsroom) -> None:
    title = "Bitcoin&#0; &#xD800;&#99999999999; \x85rises&amp;#0;"
    body = rss(item("x", "http://paper.example/a").replace("x<", title + "<"))
    result = await room.fetch({"paper": room.publisher.publish("/rss", body)})
    assert result.counts["new stories"] == 1
    assert room.rows()[0]["title"] == "Bitcoin� �� …rises�"


async def test_runs_at_once_store_each_article_once(room: Newsroom) -> None:
    stories = [item(f"Story number {n} of many", f"http://paper.example/{n}") for n in range(30)]
    repeats = [item(f"Story number {n} of many", f"http://mirror.example/{n}") for n in range(30)]
    paper, mirror = (room.publisher.publish(f"/{n}", rss(*told)) for n, told in enumerate((stories, repeats)))

    def run() -> NewsResult:
        return asyncio.run(run_alone())

    async def run_alone() -> NewsResult:
        fetcher = HttpFeeds(timeout_seconds=20)  # with a loop of its own, as another process would have
        try:
            return await replace(room, fetcher=fetcher).fetch({"paper": paper, "mirror": mirror}, limit=100)
        finally:
            await fetcher.close()

    results = await asyncio.gather(*(asyncio.to_thread(run) for _ in range(4)))
    assert sum(result.counts["new stories"] for result in results) == 30
    assert sum(result.counts["repeated"] for result in results) == 30
    assert len(room.rows()) == 60
