"""Feeds as servers really send them, over HTTP."""

from __future__ import annotations

import gzip
import logging
from datetime import UTC, datetime

import pytest

from lib.adapters.feeds import MAX_ENTRIES, HttpFeeds, read_feed
from lib.errors import BadAnswer, FeedUnavailable
from lib.news.feeds import FetchedFeed, Validators
from tests.news.publisher import NOON, Publisher, item, rss

NOTHING = Validators()
GERMAN = "Größere Börse “kauft” 東京"
GOOD = item("Good", "http://paper.example/a")
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Paper</title>
<entry><title type="html">A &lt;b&gt;bold&lt;/b&gt; one</title><link href="/a"/>
<updated>2026-03-02T10:00:00+01:00</updated>
<summary>Told.</summary></entry></feed>"""


def read(body: str | bytes, content_type: str = "application/rss+xml") -> FetchedFeed:
    return read_feed(body if isinstance(body, bytes) else body.encode(), {"Content-Type": content_type}, "paper/rss")


async def test_a_feed_is_fetched_with_title_link_summary_and_date(publisher: Publisher, fetcher: HttpFeeds) -> None:
    url = publisher.publish("/rss", rss(item("Bitcoin rises", "http://paper.example/a", NOON, "It did.")))
    feed = await fetcher.fetch_feed(url, NOTHING)
    assert feed is not None
    (entry,) = feed.entries
    assert (entry.title, entry.link, entry.summary) == ("Bitcoin rises", "http://paper.example/a", "It did.")
    assert entry.published_at == NOON
    assert not feed.is_cut_off


async def test_an_unchanged_feed_is_asked_for_by_what_the_server_said_of_it(
    publisher: Publisher, fetcher: HttpFeeds
) -> None:
    said = {"ETag": '"v1"', "Last-Modified": "Mon, 02 Mar 2026 11:00:00 GMT"}
    url = publisher.publish("/rss", rss(), headers=said)
    feed = await fetcher.fetch_feed(url, NOTHING)
    assert feed == FetchedFeed((), Validators('"v1"', "Mon, 02 Mar 2026 11:00:00 GMT"))
    assert await fetcher.fetch_feed(url, feed.validators) is None
    assert publisher.asked[1].headers["If-Modified-Since"] == said["Last-Modified"]


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"status": 404}, BadAnswer, "answers 404"),
        ({"status": 410}, BadAnswer, "answers 410"),
        ({"status": 403}, BadAnswer, "answers 403"),
        ({"status": 304}, None, ""),
        ({"status": 429}, FeedUnavailable, "answers 429"),
        ({"status": 503}, FeedUnavailable, "answers 503"),
        ({"hangs": True}, FeedUnavailable, "did not answer in 0.5 s"),
        ({"endless": True}, BadAnswer, "more than 200,000 bytes"),
        ({"cut_at": 100}, FeedUnavailable, "broke off"),
        ({"status": 302, "headers": {"Location": "/rss?token=secret"}}, BadAnswer, "redirects more than 5 times"),
        ({"status": 302, "headers": {"Location": "ftp://paper.example/"}}, BadAnswer, "no web address"),
        ({"status": 200, "body": b"x" * 200_001}, BadAnswer, "more than 200,000 bytes"),
        (
            {"body": gzip.compress(b" " * 50_000_000, mtime=0), "headers": {"Content-Encoding": "gzip"}},
            BadAnswer,
            "more than 200,000 bytes",
        ),
        ({"headers": {"Content-Encoding": "gzip"}}, FeedUnavailable, ""),
        ({"body": b"<html><body>Please log in</body></html>", "content_type": "text/html"}, BadAnswer, "(text/html)"),
        ({"body": b""}, BadAnswer, "no feed"),
        ({"body": b'{"items": []}', "content_type": "application/json"}, BadAnswer, "no feed (application/json)"),
        ({"body": bytes(range(256))}, BadAnswer, "no feed"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
async def test_a_bad_answer_is_a_clear_error_without_what_may_be_secret(
    publisher: Publisher,
    fetcher: HttpFeeds,
    caplog: pytest.LogCaptureFixture,
    how: dict[str, object],
    error: type[Exception] | None,
    says: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    address = publisher.publish("/rss", **({"body": rss()} | how))  # type: ignore[arg-type]
    secret = address.replace("http://", "http://user:pa55@") + "?token=secret"
    if error is None:
        assert await fetcher.fetch_feed(secret, NOTHING) is None
        return
    with pytest.raises(error) as raised:
        await fetcher.fetch_feed(secret, NOTHING)
    assert says in str(raised.value)
    assert "127.0.0.1/rss" in str(raised.value)
    ours = [record for record in caplog.records if record.name.startswith("lib.")]
    for told in (str(raised.value), *(record.getMessage() for record in ours)):
        assert "pa55" not in told
        assert "token" not in told


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/rss?token=secret", "http://no-such-host.invalid/rss?token=secret"])
async def test_a_server_that_is_not_there_is_tried_again(fetcher: HttpFeeds, url: str) -> None:
    with pytest.raises(FeedUnavailable, match="/rss") as raised:
        await fetcher.fetch_feed(url, NOTHING)
    assert "token" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "paper", "file:///etc/passwd", "http://", "http://[", "ftp://paper.example/rss"])
async def test_what_is_no_web_address_is_refused(fetcher: HttpFeeds, url: str) -> None:
    with pytest.raises(BadAnswer, match="web address"):
        await fetcher.fetch_feed(url, NOTHING)


@pytest.mark.parametrize(
    ("declared", "sent_as", "content_type"),
    [
        ("UTF-8", "utf-8", "text/xml; charset=iso-8859-1"),
        ("iso-8859-1", "utf-8", "application/xml"),
        ("UTF-8", "utf-8", "text/xml"),
        ("UTF-8", "utf-8-sig", "application/rss+xml; charset=windows-1251"),
        ("UTF-16", "utf-16", "text/xml; charset=utf-8"),
        ("no-such-charset", "utf-8", "text/xml; charset=neither"),
    ],
)
def test_a_lie_about_the_charset_does_not_spoil_the_text(declared: str, sent_as: str, content_type: str) -> None:
    body = rss(item(GERMAN, "http://paper.example/a"), charset=declared).encode(sent_as)
    assert read(body, content_type).entries[0].title == GERMAN


def test_a_declared_utf_8_that_is_windows_1252_is_read_as_that() -> None:
    body = rss(item("Größe “zählt”", "http://paper.example/a")).encode("cp1252")
    assert read(body, "text/xml; charset=utf-8").entries[0].title == "Größe “zählt”"


def test_a_few_broken_bytes_do_not_spoil_the_rest() -> None:
    body = rss(item(GERMAN, "http://paper.example/a")).encode().replace("東".encode(), b"\xe6\x9d")
    assert read(body).entries[0].title == GERMAN.replace("東", "�")


@pytest.mark.parametrize(
    "flawed",
    [
        "\n\n" + rss(GOOD),
        rss(GOOD).replace("<description>-</description>", "<description>a & b</description>"),
        rss(GOOD).replace("</channel>", ""),
        rss(GOOD) + "<!-- cached by a proxy -->",
        rss(GOOD).replace("<channel>", "<channel>&nosuch;"),
    ],
    ids=["leading newlines", "a bare ampersand", "an element left open", "a comment behind", "an unknown entity"],
)
def test_a_flaw_does_not_cost_the_good_entries(flawed: str) -> None:
    feed = read(flawed)
    assert [(entry.title, entry.link) for entry in feed.entries] == [("Good", "http://paper.example/a")]
    assert not feed.is_cut_off


def test_a_feed_that_breaks_off_loses_its_last_entry_and_is_asked_for_again() -> None:
    body = rss(*(item(f"Story {number}", f"http://paper.example/{number}") for number in range(5)))
    cut = body[: body.index("/paper.example/4") + 10].encode()
    feed = read_feed(cut, {"Content-Type": "text/xml", "ETag": '"v1"'}, "paper/rss")
    assert [entry.title for entry in feed.entries] == [f"Story {number}" for number in range(4)]
    assert feed.is_cut_off
    assert feed.validators == NOTHING


@pytest.mark.parametrize(
    ("date", "instant"),
    [
        ("Mon, 02 Mar 2026 13:00:00 +0100", NOON),
        ("2026-03-02T12:00:00Z", NOON),
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        ("Mon, 99 Foo 2026 99:99:99", None),
        ("0000-00-00T00:00:00Z", None),
    ],
)
def test_dates_are_read_as_far_as_they_can_be(date: str, instant: datetime | None) -> None:
    body = rss("<item><title>t</title><link>http://paper.example/a</link><pubDate>" + date + "</pubDate></item>")
    assert read(body).entries[0].published_at == instant


def test_atom_is_read_and_an_entry_that_was_only_updated_has_that_date() -> None:
    (entry,) = read(ATOM, "application/atom+xml").entries
    assert entry.published_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert (entry.link, entry.summary) == ("/a", "Told.")


def test_an_entry_without_anything_is_read_as_such() -> None:
    (entry,) = read(rss("<item></item>")).entries
    assert (entry.title, entry.link, entry.summary, entry.published_at) == ("", "", "", None)


def test_entities_neither_grow_nor_read_files() -> None:
    lines = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e0 "boom">{lines}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    body = bomb + rss(item("x", "http://paper.example/a").replace("x<", "&e11;&f;<")).partition("\n")[2]
    feed = read(body)
    assert len(feed.entries[0].title) < 100
    assert "root:" not in feed.entries[0].title


def test_of_a_feed_without_end_the_first_entries_are_read() -> None:
    body = rss(*(item("Story", f"http://paper.example/{number}") for number in range(MAX_ENTRIES + 5)))
    assert len(read(body).entries) == MAX_ENTRIES
