"""All that a run of the news needs, and what is stored afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from lib.adapters.database.news import DatabaseNews
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.feeds import HttpFeeds
from lib.news.fetching import fetch_news
from lib.news.report import NewsResult
from tests.news.publisher import HandClock, Publisher

ASSETS = ("BTC", "ETH", "SOL", "LINK")


@dataclass(frozen=True)
class Newsroom:
    """A publisher, and a database that its news are fetched into."""

    engine: Engine
    publisher: Publisher
    fetcher: HttpFeeds
    clock: HandClock

    @property
    def store(self) -> DatabaseNews:
        return DatabaseNews(self.engine)

    async def fetch(self, feeds: Mapping[str, str], limit: int = 50) -> NewsResult:
        return await fetch_news(
            feeds=feeds,
            fetcher=self.fetcher,
            store=self.store,
            outbox=NotificationStore(self.engine),
            clock=self.clock,
            assets=ASSETS,
            limit=limit,
        )

    def rows(self, table: str = "news_articles") -> list[dict[str, Any]]:
        order = "published_at DESC, article_key" if table == "news_articles" else "name"
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY {order}")).mappings()]
