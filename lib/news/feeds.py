"""What a feed gives, and what is kept about it between runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Validators:
    """What a server said of its last answer, sent back so that it can say "not modified" (RFC 9110, 13.1)."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class FeedEntry:
    """One entry as the feed tells it; the texts may hold mark-up.

    Attributes:
        title: Empty when it has none.
        link: Empty when it has none.
        summary: Empty when it has none.
        published_at: UTC; the date of its last change where only that is told; None without a readable date.
    """

    title: str
    link: str
    summary: str = ""
    published_at: datetime | None = None


@dataclass(frozen=True)
class FetchedFeed:
    """A feed that was sent whole or in part.

    Attributes:
        entries: As told, in the feed's order.
        validators: To ask with next time.
        is_cut_off: The document breaks off; its last entry is left out, as its texts may break off too.
    """

    entries: tuple[FeedEntry, ...]
    validators: Validators = Validators()
    is_cut_off: bool = False


class FeedFetcher(Protocol):
    """The network side of feeds."""

    async def fetch_feed(self, url: str, validators: Validators) -> FetchedFeed | None:
        """Return the feed; None when it has not changed since `validators` were given.

        Raises:
            FeedUnavailable: No answer in time, a broken connection, 429 or 5xx.
            BadAnswer: What came is no feed, too big, or redirected without end; or the address is wrong.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True)
class FeedState:
    """What is on record of a feed.

    Attributes:
        name: The operator's name of it.
        url_hash: Of the address these validators belong to; the address itself may hold a secret.
        validators: Of its last good answer.
        checked_at: When it was last asked, UTC.
        last_ok_at: When it last answered as it should ("not modified" included), UTC.
        error: Why the last attempt failed; None when it did not.
        consecutive_failures: Since the last good answer.
        failing_since: When the first of them was, UTC; None when the last attempt did not fail.
    """

    name: str
    url_hash: str
    validators: Validators
    checked_at: datetime
    last_ok_at: datetime | None = None
    error: str | None = None
    consecutive_failures: int = 0
    failing_since: datetime | None = None


def calc_url_hash(url: str) -> str:
    """Return a fingerprint of a feed's address that does not tell it."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]
