"""Feeds of 2019-01-31 as they were published, served and fetched: input that nobody here wrote.

They lie in the folder `feeds` of the one that FKS_REAL_DATA names, else of ../shared/data.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lib.results import Status
from tests.news.newsroom import Newsroom

FOLDER = Path(os.environ.get("FKS_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "feeds"
ENTRIES = {"rssfeedparser_1": 20, "rssfeedparser_3": 25, "rssfeedparser_4": 30, "rssfeedparser_5": 19}
THAT_NIGHT = datetime(2019, 1, 31, 23, tzinfo=UTC)
LEADS = "Blockchain Capital Leads"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded feeds in {FOLDER}; set FKS_REAL_DATA to the folder that holds them"
)


@pytest.fixture
def feeds(room: Newsroom) -> dict[str, str]:
    room.clock.instant = THAT_NIGHT
    return {path.stem: room.publisher.publish(f"/{path.name}", path.read_bytes()) for path in FOLDER.glob("*.rss")}


async def test_every_entry_is_read_and_the_story_of_two_feeds_counts_once(
    room: Newsroom, feeds: dict[str, str]
) -> None:
    result = await room.fetch(feeds, limit=500)
    assert result.status is Status.OK
    assert {item.name: item.detail for item in result.items} == {
        name: f"{count} new of {count}" for name, count in ENTRIES.items()
    }
    rows = {row["article_key"]: row for row in room.rows()}
    assert len(rows) == sum(ENTRIES.values())
    assert result.counts == {"new stories": 93, "repeated": 1, "left for the next run": 0}
    (repeated,) = [row for row in rows.values() if row["same_as"]]
    first = rows[repeated["same_as"]]
    assert first["title"] == f"{LEADS} $1.7 Million Round for Crypto Compliance Startup"
    assert repeated["title"] == f"{LEADS} Funding Round for Crypto Compliance Startup TRM"
    assert (first["feed"], repeated["feed"]) == ("rssfeedparser_1", "rssfeedparser_4")


async def test_texts_are_plain_and_dates_are_the_feeds_own(room: Newsroom, feeds: dict[str, str]) -> None:
    await room.fetch(feeds, limit=500)
    rows = room.rows()
    assert all(row["dated_by"] == "feed" and row["published_at"] < THAT_NIGHT for row in rows)
    assert all(sign not in row["title"] + row["summary"] for row in rows for sign in ("<", "&amp;", "&#", "\n"))
    assert "Germany’s No.2 Stock Exchange Launches Mobile App for Crypto Trading" in {row["title"] for row in rows}
    assert "GörliCon 2k19: It’s Dappening In Berlin" in {row["title"] for row in rows}


async def test_every_story_that_names_bitcoin_in_its_title_is_tagged_so(room: Newsroom, feeds: dict[str, str]) -> None:
    await room.fetch(feeds, limit=500)
    titles = {row["title"]: row["assets"] for row in room.rows()}
    named = {title for title in titles if "Bitcoin" in title}
    assert len(named) >= 15
    assert all("BTC" in titles[title] for title in named)
    assert "BTC" not in titles["Gemini Passes Security Compliance Review"]


async def test_a_second_run_finds_nothing_new_and_the_mood_of_that_day_stays(
    room: Newsroom, feeds: dict[str, str]
) -> None:
    await room.fetch(feeds, limit=60)
    room.clock.move(hours=1)
    await room.fetch(feeds, limit=60)
    assert (await room.fetch(feeds)).summary == "ok: nothing to do"
    mood = room.store.load_sentiment(["BTC/USDT", "ETH/USDT"], THAT_NIGHT + timedelta(minutes=1))
    assert set(mood) == {"BTC/USDT", "ETH/USDT"}
    assert all(-1 <= score <= 1 for score in mood.values())
    assert room.store.load_sentiment(["BTC/USDT"], THAT_NIGHT) == {}
