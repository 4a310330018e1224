"""Feeds over HTTP: aiohttp fetches, feedparser reads. Both are imported when the first feed is asked for."""

from __future__ import annotations

import asyncio
import calendar
import io
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lib.errors import BadAnswer, FeedUnavailable
from lib.news.addresses import describe_feed_url
from lib.news.feeds import FeedEntry, FetchedFeed, Validators

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

TIMEOUT_SECONDS = 15.0
MAX_BYTES = 5_000_000
MAX_REDIRECTS = 5
CHUNK_BYTES = 65_536
MAX_ENTRIES = 500
ROOTS = re.compile(rb"<(?:\w+:)?(?:rss|feed|rdf)\b", re.IGNORECASE)
ENDS = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>", re.IGNORECASE)
REFERENCES = re.compile(rb"&#(?:x([0-9a-f]{1,12})|([0-9]{1,12}));?", re.IGNORECASE)
HEAD_BYTES = TAIL_BYTES = 8192  # comments may come before the root, and after its end
LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
HEADERS = {
    "User-Agent": "fks-news/1 (feed reader)",
    "Accept": "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1",
}


class HttpFeeds:
    """`FeedFetcher` over HTTP. Errors name a feed by host and path only: the rest of an address can be a secret."""

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS, max_bytes: int = MAX_BYTES) -> None:
        """Take the limits of one answer: seconds for everything from connecting on, bytes after decompression."""
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._session: ClientSession | None = None

    async def fetch_feed(self, url: str, validators: Validators) -> FetchedFeed | None:
        """Return the feed, or None when it has not changed; see `FeedFetcher`."""
        from aiohttp import (
            ClientConnectorCertificateError,
            ClientError,
            ClientPayloadError,
            InvalidURL,
            NonHttpUrlClientError,
            TooManyRedirects,
        )

        named = describe_feed_url(url)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._ask(url, validators, named)
        except TimeoutError:
            raise FeedUnavailable(f"{named} did not answer in {self._timeout_seconds:g} s.") from None
        except TooManyRedirects:
            raise BadAnswer(f"{named} redirects more than {MAX_REDIRECTS} times. Check the feed's address.") from None
        except (InvalidURL, NonHttpUrlClientError):
            raise BadAnswer(f"{named} is, or redirects to, no web address. Expected https://…") from None
        except (ClientConnectorCertificateError, ssl.SSLError):
            raise BadAnswer(f"{named} has a certificate that is not trusted. Check the feed's address.") from None
        except ClientPayloadError:
            raise FeedUnavailable(f"{named} broke off its answer.") from None
        except (ClientError, OSError) as error:  # their texts can hold the address
            raise FeedUnavailable(f"{named} cannot be reached ({type(error).__name__}).") from None
        if answer is None:
            return None
        return await asyncio.to_thread(read_feed, answer[0], answer[1], named)

    async def close(self) -> None:
        """Release connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, url: str, validators: Validators, named: str) -> tuple[bytes, Mapping[str, str]] | None:
        headers = {"If-None-Match": validators.etag, "If-Modified-Since": validators.last_modified}
        session = self._open_session()
        sent = {name: value for name, value in headers.items() if value}
        async with session.get(url, headers=sent, max_redirects=MAX_REDIRECTS) as response:
            if response.status == HTTPStatus.NOT_MODIFIED:
                return None
            _check_status(response.status, named)
            return await self._read(response, named), dict(response.headers)

    async def _read(self, response: ClientResponse, named: str) -> bytes:
        """Read up to the limit, counted as it comes: Content-Length may be absent, wrong or of the compressed body."""
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            body += chunk
            if len(body) > self._max_bytes:
                raise BadAnswer(f"{named} sends more than {self._max_bytes:,} bytes; no feed does. Check its address.")
        return bytes(body)

    def _open_session(self) -> ClientSession:
        from aiohttp import ClientSession, DummyCookieJar

        if self._session is None:
            self._session = ClientSession(headers=HEADERS, cookie_jar=DummyCookieJar())
        return self._session


def read_feed(body: bytes, headers: Mapping[str, str], named: str) -> FetchedFeed:
    """Read RSS or Atom; a flaw ("bozo") does not cost the entries that are good.

    Args:
        body: As it came, at most a few megabytes.
        headers: Of the answer.
        named: The feed, for the error.

    Raises:
        BadAnswer: It is no feed.
    """
    import feedparser

    lowered = {name.lower(): value for name, value in headers.items()}
    body = body.strip()
    # Looked at before it is parsed: a big page of HTML would keep the parser busy for long. UTF-16 has zeros between.
    if not ROOTS.search(body[:HEAD_BYTES].replace(b"\0", b"")):
        kind = lowered.get("content-type", "").partition(";")[0][:50] or "no content type"
        raise BadAnswer(f"{named} answers with something that is no feed ({kind}). Check the feed's address.")
    text, content_type = _decode(body, lowered.get("content-type", ""))
    # Given as a stream: feedparser takes bytes and text for the name of a file, or an address to fetch.
    text = REFERENCES.sub(_repair_reference, text)
    try:
        told = feedparser.parse(io.BytesIO(text), response_headers={"content-type": content_type})
    except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as error:  # seen when fuzzed
        raise BadAnswer(f"{named} sends a feed that cannot be read ({type(error).__name__}).") from error
    entries = tuple(_to_entry(one) for one in told.entries[:MAX_ENTRIES])
    if not ENDS.search(body[-TAIL_BYTES:].replace(b"\0", b"")):
        return FetchedFeed(entries[:-1], is_cut_off=True)
    return FetchedFeed(entries, Validators(lowered.get("etag"), lowered.get("last-modified")))


def _check_status(status: int, named: str) -> None:
    if status == HTTPStatus.OK:
        return
    if status in LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise FeedUnavailable(f"{named} answers {status}; it is asked again later.")
    raise BadAnswer(f"{named} answers {status}. Check the feed's address, and whether it still exists.")


def _decode(body: bytes, content_type: str) -> tuple[bytes, str]:
    """Return the body and the content type to read it by.

    Servers and XML declarations lie about the charset, but what is valid UTF-8 with signs beyond ASCII is UTF-8, and a
    few broken bytes do not change that. Only what is not goes by what was declared, then by feedparser's guesses.
    """
    if b"\0" not in body:
        text = body.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        whole = sum(not sign.isascii() for sign in text) - broken if broken else 0
        if not broken or whole > broken:
            return text.encode(), "application/xml; charset=utf-8"
    _, _, charset = content_type.lower().partition("charset=")
    charset = charset.partition(";")[0].strip("\"' ")
    return body, f"application/xml; charset={charset}" if charset else "application/xml"


def _repair_reference(found: re.Match[bytes]) -> bytes:
    """Return the reference, or the sign for a broken one where no character is meant: feedparser fails on those."""
    code = int(found[1], 16) if found[1] else int(found[2])
    is_character = code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0xFFFF < code < 0x110000
    return found[0] if is_character else b"&#xFFFD;"


def _to_entry(told: Any) -> FeedEntry:
    date = told.get("published_parsed") or ("updated_parsed" in told and told["updated_parsed"])
    return FeedEntry(
        title=_to_text(told.get("title")),
        link=_to_text(told.get("feedburner_origlink") or told.get("link")),
        summary=_to_text(told.get("summary")),
        published_at=_to_instant(date),
    )


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _to_instant(parsed: Any) -> datetime | None:
    """Return the UTC instant of feedparser's nine numbers; None for none, or for a date no calendar has."""
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None
