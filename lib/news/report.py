"""What `fetch_news` reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.news.articles import Article, DatedBy
from lib.news.wording import escape_markdown
from lib.results import TaskResult

MAX_ROWS = 50


class NewsLine(BaseModel):
    """A new story.

    Attributes:
        published_at: UTC.
        dated_by: Where that comes from.
        sources: The feeds that told it in this run, the first one first.
        title: Plain foreign text.
        url: Canonical.
        assets: What it speaks of.
        sentiment: In [-1, 1].
    """

    model_config = ConfigDict(frozen=True)

    published_at: datetime
    dated_by: DatedBy
    sources: tuple[str, ...]
    title: str
    url: str
    assets: tuple[str, ...]
    sentiment: float | None


class NewsResult(TaskResult):
    """The result of `fetch_news`.

    Attributes:
        stories: The new ones, newest first.
    """

    stories: tuple[NewsLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of the new stories."""
        if not self.stories:
            return []
        headers = ("published (UTC)", "source", "story", "assets", "sentiment")
        rows = [_render_row(line) for line in self.stories[:MAX_ROWS]]
        return [tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)]


def list_stories(added: Sequence[Article]) -> tuple[NewsLine, ...]:
    """Return the lines of the added articles that count, newest first, with the feeds that repeat them."""
    counting = [article for article in added if article.same_as is None]
    lines = [
        NewsLine(
            published_at=article.published_at,
            dated_by=article.dated_by,
            sources=(article.feed, *(other.feed for other in added if other.same_as == article.key)),
            title=article.title,
            url=article.url,
            assets=article.assets,
            sentiment=article.sentiment,
        )
        for article in counting
    ]
    return tuple(sorted(lines, key=lambda line: line.published_at, reverse=True))


def _render_row(line: NewsLine) -> tuple[str, ...]:
    notes = {DatedBy.FEED: "", DatedBy.FETCH: " (no date)", DatedBy.CLAMP: " (dated ahead)"}
    return (
        f"{line.published_at:%Y-%m-%d %H:%M}{notes[line.dated_by]}",
        ", ".join(escape_markdown(source) for source in line.sources),
        f"[{escape_markdown(line.title)}](<{line.url}>)",
        ", ".join(line.assets),
        f"{line.sentiment:+.2f}" if line.sentiment is not None else "",
    )
