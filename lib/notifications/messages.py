"""Messages to people: what one is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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

    Attributes:
        type: What it is about.
        severity: How much it matters.
        title: One line, with the family's emoji.
        body: Plain text with the numbers that matter and what to do next; never empty.
        deduplication_key: Recorded once per key, for ever: "stop_loss:demo:SOL/USDT:17:0".
        created_at: UTC.
    """

    type: MessageType
    severity: Severity
    title: str
    body: str
    deduplication_key: str
    created_at: datetime
