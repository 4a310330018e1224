"""Messages to people: what one is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lib.notifications.cleaning import clean_text

LONGEST_KEY = 500  # characters; PostgreSQL's unique index takes no more than about 2700 bytes


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
        link: Where to see more, as the page of the flow run.

    Raises:
        ValueError: When title, body or key is blank, the key is too long, or the instant is naive.
    """

    type: MessageType
    severity: Severity
    title: str
    body: str
    deduplication_key: str
    created_at: datetime
    link: str | None = None

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
