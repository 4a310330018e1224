from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine

from lib.adapters.feeds import HttpFeeds
from tests.news.newsroom import Newsroom
from tests.news.publisher import HandClock, Publisher, run_publisher


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    async with run_publisher() as running:
        yield running


@pytest.fixture
async def fetcher() -> AsyncIterator[HttpFeeds]:
    """Impatient, so that a feed that hangs costs a test half a second."""
    feeds = HttpFeeds(timeout_seconds=0.5, max_bytes=200_000)
    yield feeds
    await feeds.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def room(engine: Engine, publisher: Publisher, fetcher: HttpFeeds, clock: HandClock) -> Newsroom:
    return Newsroom(engine, publisher, fetcher, clock)
