"""A small RSS feed of invented crypto news at /feed/rss.xml: a function of seed, time and the market's prices.

Some stories are told whatever happens; the others say what the prices of the market did, every four hours.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from xml.sax.saxutils import escape

from aiohttp import web

from lib.simulator.intervals import DAY_MS, MINUTE_MS
from lib.simulator.market import Clock
from lib.simulator.source import Source

PATH = "/feed/rss.xml"
DAYS_SHOWN = 3
FEWEST_A_DAY, MOST_A_DAY = 3, 6
SUBJECTS = (
    ("BTC", "Bitcoin"),
    ("ETH", "Ethereum"),
    ("BNB", "BNB"),
    ("ADA", "Cardano"),
    ("SOL", "Solana"),
    ("DOT", "Polkadot"),
    ("LINK", "Chainlink"),
    ("POL", "POL token"),
    ("AVAX", "AVAX"),
    ("ATOM", "Cosmos Hub"),
)
HEADLINES = (
    "{name} network upgrade goes live without incident",
    "{name} fees fall to a three-month low",
    "Exchange pauses {ticker} withdrawals for wallet maintenance",
    "Developers propose a change to {name}'s issuance",
    "{name} treasury & grants report: spending up, reserves down",
    "Regulator asks for comments on {name} custody rules",
    "Large {ticker} transfer moves to an unknown wallet",
    "Security researchers disclose a fixed flaw in a {name} client",
)
MARK_MS = 240 * MINUTE_MS  # how often the market is looked at, and over which time
LATEST_MINUTE = 20  # a story is written so long after what it tells
SMALLEST_MOVE = 0.012
# Change from which on a headline fits, biggest first.
MOVES = (
    (0.10, ("{name} soars {change} % in four hours", "{name} crashes {change} % in four hours")),
    (0.04, ("{name} rallies {change} % as buyers return", "{name} plunges {change} % as sellers take over")),
    (0.0, ("{name} gains {change} %, ahead of the market", "{name} slips {change} %, behind the market")),
)


@dataclass(frozen=True)
class Item:
    """One story of the feed."""

    identifier: str
    title: str
    link: str
    published_at: datetime


def make_items(now_ms: int, seed: int, source: Source) -> list[Item]:
    """Return the stories of the last days up to now, newest first."""
    today = now_ms // DAY_MS
    items = [item for day in range(today, today - DAYS_SHOWN, -1) for item in _items_of(day, seed)]
    first_mark = (today - DAYS_SHOWN + 1) * DAY_MS // MARK_MS
    items += [item for mark in range(first_mark, now_ms // MARK_MS + 1) if (item := _move_at(mark, seed, source))]
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return sorted(
        (item for item in items if item.published_at <= now), key=lambda item: item.published_at, reverse=True
    )


def render_feed(items: Sequence[Item]) -> bytes:
    """Render RSS 2.0."""
    entries = "".join(
        f"<item><title>{escape(item.title)}</title><link>{escape(item.link)}</link>"
        f'<guid isPermaLink="false">{item.identifier}</guid>'
        f"<pubDate>{format_datetime(item.published_at)}</pubDate>"
        f"<description>{escape(item.title)}. Invented by the simulator.</description></item>\n"
        for item in items
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>Simulated crypto news</title>'
        "<link>http://127.0.0.1/</link><description>Invented stories for tests and trials</description>\n"
        f"{entries}</channel></rss>\n"
    ).encode()


def add_routes(app: web.Application, source: Source, clock: Clock, seed: int) -> None:
    """Register the feed."""

    async def serve_feed(request: web.Request) -> web.Response:
        items = make_items(clock.now_ms(), seed, source)
        body = render_feed(items)
        tag = hashlib.blake2b(body, digest_size=8).hexdigest()
        headers = {"ETag": f'"{tag}"', "Cache-Control": "max-age=60"}
        if items:
            headers["Last-Modified"] = format_datetime(items[0].published_at, usegmt=True)
        if _is_unchanged(request, tag, items):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/rss+xml", charset="UTF-8", headers=headers)

    app.router.add_get(PATH, serve_feed)


def _is_unchanged(request: web.Request, tag: str, items: Sequence[Item]) -> bool:
    """Apply the conditional headers; If-None-Match decides alone where it is sent (RFC 9110, 13.1.3)."""
    known = request.headers.get("If-None-Match")
    if known is not None:
        return known.strip() == "*" or f'"{tag}"' in known
    since = request.headers.get("If-Modified-Since")
    if since is None or not items:
        return False
    try:
        return items[0].published_at <= parsedate_to_datetime(since)
    except (TypeError, ValueError):  # a date nobody can read is as good as none
        return False


def _items_of(day: int, seed: int) -> list[Item]:
    luck = random.Random(f"{seed} {day}")  # noqa: S311  invented news, not a secret
    items = []
    for number in range(luck.randint(FEWEST_A_DAY, MOST_A_DAY)):
        ticker, name = luck.choice(SUBJECTS)
        title = luck.choice(HEADLINES).format(ticker=ticker, name=name)
        published_at = datetime.fromtimestamp(day * DAY_MS // 1000 + luck.randrange(86_400), UTC)
        identifier = f"simulated-{seed}-{day}-{number}"
        items.append(Item(identifier, title, f"http://127.0.0.1/news/{identifier}", published_at))
    return items


def _move_at(mark: int, seed: int, source: Source) -> Item | None:
    """Return the story of the subject whose price changed most in the four hours up to a mark, if it is worth one."""
    start_ms, end_ms = (mark - 1) * MARK_MS, mark * MARK_MS
    changes = [
        (source.price(symbol, end_ms) / source.price(symbol, start_ms) - 1, name)
        for ticker, name in SUBJECTS
        if (symbol := f"{ticker}USDT") in source.instruments and source.listed_ms(symbol) <= start_ms
    ]
    change, name = max(changes, key=lambda row: abs(row[0]), default=(0.0, ""))
    if abs(change) < SMALLEST_MOVE:
        return None
    rises, falls = next(texts for smallest, texts in MOVES if abs(change) >= smallest)
    title = (rises if change > 0 else falls).format(name=name, change=f"{abs(change) * 100:.1f}")
    minutes = random.Random(f"{seed} move {mark}").randint(1, LATEST_MINUTE)  # noqa: S311  invented news, not a secret
    published_at = datetime.fromtimestamp((end_ms + minutes * MINUTE_MS) // 1000, UTC)
    identifier = f"simulated-{seed}-move-{mark}"
    return Item(identifier, title, f"http://127.0.0.1/news/{identifier}", published_at)
