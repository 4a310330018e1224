"""A publisher of feeds on this machine that answers exactly what a test tells it, however wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape

from aiohttp import web
from aiohttp.test_utils import TestServer

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class HandClock:
    """A clock that stands until it is moved."""

    instant: datetime = NOON

    def now(self) -> datetime:
        return self.instant

    def move(self, **by: float) -> None:
        self.instant += timedelta(**by)


@dataclass(frozen=True)
class Page:
    """One answer.

    Attributes:
        body: As it is sent.
        cut_at: Close the connection after so many bytes of it.
        endless: Send the body again and again.
        hangs: Never answer.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "application/rss+xml"
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    endless: bool = False
    hangs: bool = False


@dataclass
class Publisher:
    """Pages by path, and what was asked."""

    url: str = ""
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[web.Request] = field(default_factory=list)

    def publish(self, path: str, body: bytes | str, **how: object) -> str:
        """Set a page and return its address."""
        sent = body if isinstance(body, bytes) else body.encode()
        self.pages[path] = replace(Page(sent), **how)  # type: ignore[arg-type]  # tests name the page's own fields
        return self.url + path

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        page = self.pages.get(request.path, Page(b"Not found", 404, "text/plain"))
        if page.hangs:
            await asyncio.Event().wait()  # until the client goes away or the server stops
        headers = {"Content-Type": page.content_type} | page.headers
        if page.headers.get("ETag") and request.headers.get("If-None-Match") == page.headers["ETag"]:
            return web.Response(status=304, headers=page.headers)
        if page.cut_at is None and not page.endless:
            return web.Response(status=page.status, body=page.body, headers=headers)
        return await self._stream(request, page, headers)

    async def _stream(self, request: web.Request, page: Page, headers: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(status=page.status, headers=headers)
        if page.cut_at is not None:
            response.content_length = len(page.body)
        await response.prepare(request)
        await response.write(page.body[: page.cut_at])
        while page.endless:
            await response.write(page.body)
        assert request.transport is not None
        request.transport.close()
        return response


@asynccontextmanager
async def run_publisher() -> AsyncIterator[Publisher]:
    """Run a publisher on loopback."""
    publisher = Publisher()
    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", publisher.answer)
    async with TestServer(app) as server:
        publisher.url = str(server.make_url("")).rstrip("/")
        yield publisher


def item(title: str, link: str, at: datetime | None = NOON - timedelta(hours=1), summary: str = "") -> str:
    """One entry of RSS; parts that are empty are left out."""
    date = f"<pubDate>{format_datetime(at)}</pubDate>" if at else ""
    linked = f"<link>{escape(link)}</link>" if link else ""
    return (
        f"<item><title>{escape(title)}</title>{linked}{date}"
        + (f"<description>{escape(summary)}</description>" if summary else "")
        + "</item>"
    )


def rss(*items: str, charset: str = "UTF-8") -> str:
    """A feed of these entries."""
    return (
        f'<?xml version="1.0" encoding="{charset}"?>\n<rss version="2.0"><channel><title>Paper</title>'
        f"<link>http://paper.example/</link><description>-</description>{''.join(items)}</channel></rss>"
    )
