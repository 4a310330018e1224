import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx

from lib.simulator.feed import DAYS_SHOWN, FEWEST_A_DAY, MARK_MS, MOST_A_DAY, make_items
from lib.simulator.instruments import make_profiles
from lib.simulator.world import World
from tests.simulators import START_AT, RunningSimulator

# The candles that close at the looks at the market: at noon, and at 16:00.
MARKS = [int(datetime(2026, 3, 2, hour, tzinfo=UTC).timestamp()) * 1000 for hour in (8, 12)]


def fetch(simulator: RunningSimulator, **headers: str) -> httpx.Response:
    return httpx.get(f"{simulator.url}/feed/rss.xml", headers=headers, trust_env=False)


def items_of(reply: httpx.Response) -> list[dict[str, str]]:
    return [{part.tag: part.text or "" for part in item} for item in ET.fromstring(reply.content).iter("item")]


def test_the_feed_tells_the_stories_of_the_last_days_newest_first(simulator: RunningSimulator) -> None:
    reply = fetch(simulator)
    assert reply.headers["Content-Type"] == "application/rss+xml; charset=UTF-8"
    items = items_of(reply)
    dates = [parsedate_to_datetime(item["pubDate"]) for item in items]
    invented = [item for item in items if "-move-" not in item["guid"]]
    assert (DAYS_SHOWN - 1) * FEWEST_A_DAY <= len(invented) <= DAYS_SHOWN * MOST_A_DAY
    assert 0 < len(items) - len(invented) <= DAYS_SHOWN * 86_400_000 // MARK_MS
    assert dates == sorted(dates, reverse=True)
    assert START_AT - timedelta(days=DAYS_SHOWN) < dates[-1] < dates[0] <= START_AT
    assert len({item["guid"] for item in items}) == len(items)


def test_stories_stay_as_they_are_and_new_ones_come_with_time(simulator: RunningSimulator) -> None:
    before = items_of(fetch(simulator))
    simulator.control.advance(seconds=86_400)
    after = items_of(fetch(simulator))
    recent = [item for item in before if parsedate_to_datetime(item["pubDate"]) > START_AT - timedelta(days=1)]
    assert all(item in after for item in recent)
    assert any(item not in before for item in after)


def test_another_seed_tells_other_stories() -> None:
    now_ms = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1000
    one, same, other = (World(make_profiles(10), seed) for seed in (1, 1, 2))
    assert make_items(now_ms, 1, one) == make_items(now_ms, 1, same) != make_items(now_ms, 2, other)


def test_the_news_tell_what_the_market_did(simulator: RunningSimulator) -> None:
    before = items_of(fetch(simulator))
    simulator.control.scenario("crash", "SOLUSDT", change=-0.4, minutes=60)
    simulator.control.advance(seconds=4.5 * 3600)  # past the next look at the market, at 16:00
    titles = [item["title"] for item in items_of(fetch(simulator)) if item not in before]
    price = [float(simulator.get("/klines", symbol="SOLUSDT", interval="4h", startTime=at)[0][4]) for at in MARKS]
    assert f"Solana crashes {100 - 100 * price[1] / price[0]:.1f} % in four hours" in titles


def test_the_feed_fails_as_the_control_api_says(simulator: RunningSimulator) -> None:
    simulator.control.arm("body", path="/feed/*", variant="html")
    simulator.control.arm("status", path="/feed/*", status=404)
    assert fetch(simulator).headers["Content-Type"].startswith("text/html")
    assert fetch(simulator).status_code == 404
    assert fetch(simulator).status_code == 200


def test_an_unchanged_feed_is_not_sent_again(simulator: RunningSimulator) -> None:
    first = fetch(simulator)
    tag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    for headers in ({"If-None-Match": tag}, {"If-None-Match": "*"}, {"If-Modified-Since": modified}):
        reply = fetch(simulator, **headers)
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["ETag"] == tag


def test_a_changed_feed_is_sent(simulator: RunningSimulator) -> None:
    first = fetch(simulator)
    day_before = format_datetime(START_AT - timedelta(days=2), usegmt=True)
    assert fetch(simulator, **{"If-Modified-Since": day_before}).status_code == 200
    assert fetch(simulator, **{"If-Modified-Since": "some day"}).status_code == 200
    # The tag decides where both are sent.
    both = {"If-None-Match": '"other"', "If-Modified-Since": first.headers["Last-Modified"]}
    assert fetch(simulator, **both).status_code == 200
    simulator.control.advance(seconds=86_400)
    assert fetch(simulator, **{"If-None-Match": first.headers["ETag"]}).status_code == 200
