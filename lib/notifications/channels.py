"""Channels: where messages go, who wants which, and what a channel may answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from lib.notifications.holding import AT_ONCE, Holding
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.parts import Part


class Answer(StrEnum):
    """What became of one sending, named by the reaction.

    `DELIVERED`: the channel confirmed it. `POSTPONED`: the channel asks to wait. `UNAVAILABLE`: it did not answer, or
    answered that it cannot now. `REFUSED`: it refuses us until a person mends something (revoked, wrong token).
    `REJECTED`: it will never take this very message; the next one may pass.
    """

    DELIVERED = "delivered"
    POSTPONED = "postponed"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    REJECTED = "rejected"


@dataclass(frozen=True)
class SendOutcome:
    """A channel's answer to one part.

    Attributes:
        answer: What became of it.
        reason: Why it is not delivered, with the remedy, free of secrets; with `DELIVERED`, whom it did not reach.
        retry_at: The channel wants nothing before; with `DELIVERED` too (its allowance is used up).
        doubtful: The channel may have taken it although it did not say so.
    """

    answer: Answer
    reason: str = ""
    retry_at: datetime | None = None
    doubtful: bool = False


class FilePlace(StrEnum):
    """Where a channel shows the files of a message: with its text, as mail does, in posts behind it, or nowhere."""

    WITH_TEXT = "with text"
    BEHIND_TEXT = "behind text"
    NOWHERE = "nowhere"


class Channel(Protocol):
    """A place where people read messages."""

    name: str
    max_characters: int
    file_place: FilePlace

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        """Send one part, once, within a minute; never raises for what the other side does."""
        ...


@dataclass
class RefusedChannel:
    """A channel whose settings make none: its messages wait until a person mends them, as where a webhook refuses us.

    Attributes:
        name: The channel's.
        reason: What is wrong with its settings, with the remedy, free of secrets.
    """

    name: str
    reason: str
    max_characters: int = 2000
    file_place: FilePlace = FilePlace.NOWHERE

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        """Refuse; there is nobody to send to."""
        del part, severity
        return SendOutcome(Answer.REFUSED, self.reason)


@dataclass(frozen=True)
class Subscriber:
    """A channel and what it wants.

    Attributes:
        channel: Where to send.
        types: The types it wants; empty means all.
        min_severity: From which severity on.
        order: Its place in the escalation of urgent messages; ties go by name.
        holding: When it takes what can wait.
    """

    channel: Channel
    types: frozenset[MessageType] = frozenset()
    min_severity: Severity = Severity.INFO
    order: int = 0
    holding: Holding = AT_ONCE

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.channel.name

    @property
    def fault(self) -> str:
        """Why its settings make no channel; empty when they do."""
        return self.channel.reason if isinstance(self.channel, RefusedChannel) else ""

    def wants(self, message: Message) -> bool:
        """Return whether this channel subscribed to such messages."""
        return (not self.types or message.type in self.types) and message.severity.rank >= self.min_severity.rank

    def holds(self, message: Message, now: datetime) -> bool:
        """Return whether such a message, coming now, waits for a digest; warnings and urgent ones never do."""
        return message.severity is Severity.INFO and self.holding.holds(now)
