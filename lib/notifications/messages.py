"""Messages to people: what one is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lib.notifications.cleaning import clean_text

LONGEST_KEY = 500  # characters; PostgreSQL's unique index takes no more than about 2700 bytes
# What Discord takes by a webhook without any boost: ten files a post, 8 MB of them (answer 413 above).
LARGEST_ATTACHMENT_BYTES = 8_000_000
MAX_ATTACHMENTS = 30
FILE_NAME = re.compile(r"[^\x00-\x1f\x7f/\\\"<>:|?*]{1,100}")
MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")


class MessageType(StrEnum):
    """What a message is about; channels subscribe to types."""

    SIGNAL = "signal"
    RISK = "risk"
    STOP_LOSS = "stop_loss"
    REBALANCE = "rebalance"
    REPORT = "report"
    STRATEGY = "strategy"
    OPERATIONS = "operations"


class Severity(StrEnum):
    """How much it matters; channels subscribe from a severity on. `URGENT` wants a person now."""

    INFO = "info"
    WARNING = "warning"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for urgent."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a message.

    Attributes:
        name: As people see it: "equity.png".
        media_type: "image/png".
        content: At least one byte, at most `LARGEST_ATTACHMENT_BYTES`.

    Raises:
        ValueError: When a channel could not take it; names it and the remedy.
    """

    name: str
    media_type: str
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        name = clean_text(self.name)
        if not FILE_NAME.fullmatch(name) or name != self.name or not name.strip(" ."):
            raise ValueError(f"Expected a plain file name of at most 100 characters, was {self.name!r}.")
        if not MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError(f'Expected the media type of {self.name} as "image/png", was {self.media_type!r}.')
        if not 0 < len(self.content) <= LARGEST_ATTACHMENT_BYTES:
            raise ValueError(
                f"Expected 1 to {LARGEST_ATTACHMENT_BYTES:,} bytes in {self.name}, was {len(self.content):,}. "
                "Make it smaller, or leave it out and say so in the text."
            )


@dataclass(frozen=True)
class Message:
    """Something people must know.

    Title and body are cleaned when it is made: no control characters, and the title is one line.

    Attributes:
        type: What it is about.
        severity: How much it matters.
        title: One line, with the family's emoji.
        body: Plain text with the numbers that matter and what to do next; never empty.
        deduplication_key: Recorded once per key, for ever: "stop_loss:demo:SOL/USDT:17:0".
        created_at: UTC.
        link: Where to see more; without one it gets that of the run that records it (`lib.notifications.links`).
        attachments: Files, each with a name of its own; a channel that takes none still gets the text.

    Raises:
        ValueError: When title, body or key is blank, the key is too long, the instant is naive, or there are too many
            attachments or two of one name.
    """

    type: MessageType
    severity: Severity
    title: str
    body: str
    deduplication_key: str
    created_at: datetime
    link: str | None = None
    attachments: tuple[Attachment, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", " ".join(clean_text(self.title).split()))
        object.__setattr__(self, "body", clean_text(self.body).strip("\n"))
        for name in ("title", "body", "deduplication_key"):
            if not getattr(self, name).strip():
                raise ValueError(f"Expected a message with a {name}, was a blank one. Say what people must know.")
        if len(self.deduplication_key) > LONGEST_KEY:
            raise ValueError(f"Expected a key of at most {LONGEST_KEY} characters, was {len(self.deduplication_key)}.")
        if self.created_at.tzinfo is None:
            raise ValueError(f"Expected an aware instant, was {self.created_at!r}. Attach a time zone.")
        names = {attachment.name for attachment in self.attachments}
        if len(names) < len(self.attachments) or len(names) > MAX_ATTACHMENTS:
            raise ValueError(
                f"Expected at most {MAX_ATTACHMENTS} attachments, each with a name of its own, was "
                f"{len(self.attachments)} with {len(names)} names."
            )
