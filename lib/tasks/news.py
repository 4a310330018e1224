"""News: `fetch_news`."""

from __future__ import annotations

from lib.news import fetching
from lib.news.report import NewsResult
from lib.platform import Platform


async def fetch_news(platform: Platform, limit: int) -> NewsResult:
    """Fetch all feeds, store what is new in them, and tell people of a feed that has failed for a day."""
    settings = platform.settings
    return await fetching.fetch_news(
        feeds=settings.effective_news_feeds,
        fetcher=platform.feeds,
        store=platform.analysis.news,
        outbox=platform.notifications,
        clock=platform.clock,
        assets=(*settings.mains, *settings.alts),
        limit=limit,
    )
