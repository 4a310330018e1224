"""The news of the default run: the simulator's feed through the real client."""

from __future__ import annotations

from typing import Any

import pytest

from lib.errors import AllItemsFailed
from lib.results import Status
from tests.news.newsroom import Newsroom
from tests.simulators import START_AT, RunningSimulator


async def test_the_default_run_has_news_about_its_assets(room: Newsroom, simulator: RunningSimulator) -> None:
    room.clock.instant = START_AT
    feeds = {"simulator": f"{simulator.url}/feed/rss.xml"}
    result = await room.fetch(feeds)
    assert result.status is Status.OK
    assert result.counts["new stories"] > 10
    assert len({asset for line in result.stories for asset in line.assets}) > 1
    assert len(room.store.load_sentiment(["BTC/USDT", "ETH/USDT", "SOL/USDT"], START_AT.replace(second=31))) > 0
    assert (await room.fetch(feeds)).items[0].detail == "fresh: not modified"


async def test_a_crash_is_told_and_felt(room: Newsroom, simulator: RunningSimulator) -> None:
    feeds = {"simulator": f"{simulator.url}/feed/rss.xml"}
    room.clock.instant = START_AT
    await room.fetch(feeds)
    simulator.control.scenario("crash", "SOLUSDT", change=-0.4, minutes=60)
    simulator.control.advance(seconds=4.5 * 3600)
    room.clock.move(hours=4.5)
    result = await room.fetch(feeds)
    (crash,) = [line for line in result.stories if "Solana crashes" in line.title]
    assert crash.assets == ("SOL",)
    assert crash.sentiment is not None
    assert crash.sentiment < -0.3


@pytest.mark.parametrize(
    ("kind", "params", "says"),
    [
        ("body", {"variant": "html"}, "no feed (text/html)"),
        ("body", {"variant": "empty"}, "no feed"),
        ("status", {"status": 404}, "answers 404"),
        ("status", {"status": 503}, "answers 503"),
        ("timeout_before", {"seconds": 5}, "did not answer"),
        ("drop_before", {}, "cannot be reached"),
    ],
)
async def test_its_faults_fail_the_task_and_it_recovers(
    room: Newsroom, simulator: RunningSimulator, kind: str, params: dict[str, Any], says: str
) -> None:
    room.clock.instant = START_AT
    feeds = {"simulator": f"{simulator.url}/feed/rss.xml"}
    simulator.control.arm(kind, path="/feed/*", count=2, **params)  # a dropped connection is tried twice by the client
    with pytest.raises(AllItemsFailed) as raised:
        await room.fetch(feeds)
    assert says in str(raised.value)
    simulator.control.clear_faults()
    assert (await room.fetch(feeds)).status is Status.OK
