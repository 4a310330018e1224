"""The outbox: where messages wait until they are delivered.

Whoever has something to say needs `Outbox` alone. `DeliveryQueue` is what delivery takes from it and writes back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from lib.notifications.holding import Held
from lib.notifications.messages import Message, MessageType, Severity

STUCK_AFTER = 5  # failures; 155 seconds of backoff
SPARE_AFTER_DOUBTS = 2  # sent so often without an answer, it may wait for others


class Outbox(Protocol):
    """Where messages are recorded; nothing is sent here, and nothing recorded is ever lost."""

    def record(self, message: Message) -> bool:
        """Keep the message for delivery; False when one with its deduplication key was recorded before.

        Raises:
            DatabaseUnavailable: Nothing was recorded; trying again is safe.
        """
        ...


class DeliveryState(StrEnum):
    """How far one message is on one channel.

    `IN_DOUBT`: it was sent, or may have been, and no confirmation was recorded; it is repeated, and says so.
    `FAILED`: given up, with the reason. `HELD`: it waits for the channel's digest. `DIGESTED`: it went into one, which
    is a message of its own.
    """

    PENDING = "pending"
    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    FAILED = "failed"
    HELD = "held"
    DIGESTED = "digested"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is sent."""
        return self in (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.DIGESTED)


@dataclass(frozen=True)
class Delivery:
    """One message on its way to one channel, claimed by us.

    Attributes:
        delivery_id: Its row.
        channel: The channel's name.
        message: What to send.
        attempts: How often a sending was begun, this one included.
        parts_sent: How many of the message's parts the channel has confirmed.
        doubts: How often the next part was sent without an answer, because it was lost or the sender died; above 0 it
            may have arrived.
        refusals: How often in a row the channel refused us; once people have the text, how often the files failed.
        text_sent: People have the whole text; only files remain.
    """

    delivery_id: int
    channel: str
    message: Message
    attempts: int
    parts_sent: int
    doubts: int
    refusals: int
    text_sent: bool = False

    @property
    def failures(self) -> int:
        """How many attempts confirmed nothing."""
        return self.attempts - self.parts_sent


@dataclass(frozen=True)
class Settlement:
    """What an attempt changed about a delivery; the claim ends with it.

    Attributes:
        state: Its new state.
        parts_sent: As in `Delivery`.
        doubts: As in `Delivery`.
        refusals: As in `Delivery`.
        next_attempt_at: Not before; the whole channel waits for it, so that the order is kept, unless others overtook
            this message.
        reason: Why it is not delivered, free of secrets; empty when nothing is wrong. Delivered for a reason: its files
            were given up, or it did not reach every recipient.
        text_sent: As in `Delivery`.
    """

    state: DeliveryState
    parts_sent: int
    doubts: int
    refusals: int
    next_attempt_at: datetime
    reason: str = ""
    text_sent: bool = False


@dataclass(frozen=True)
class Route:
    """One message on one channel, as escalation sees it.

    Attributes:
        channel: The channel's name.
        state: How far it is there.
        since: How long the channel has had it. Where it failed on the channels chosen first, people have been without
            it since it was written, which counts.
        refused: The channel takes nothing until a person mends it, so nobody waits for it.
    """

    channel: str
    state: DeliveryState
    since: datetime
    refused: bool = False


@dataclass(frozen=True)
class Backlog:
    """What waits for one channel.

    Attributes:
        waiting: Messages neither delivered nor given up.
        oldest_at: When the oldest of them was created.
        resume_at: Not before; a sender at work has until then, if it is not dead.
        reason: Why the last attempt failed; empty when there was none.
        passed_by: How many of them nobody waits for, because others went through meanwhile or people have the text.
        refused: The channel refused us when we last tried; `reason` then says so.
    """

    waiting: int
    oldest_at: datetime
    resume_at: datetime
    reason: str
    passed_by: int = 0
    refused: bool = False

    @property
    def is_blocked(self) -> bool:
        """Whether the channel itself fails, and not only some of its messages."""
        return bool(self.reason) and self.passed_by < self.waiting


@dataclass(frozen=True)
class Undelivered:
    """A message that no channel has confirmed.

    Attributes:
        type: What it is about.
        severity: How much it matters.
        title: Its one line.
        created_at: UTC.
        reason: Why nobody has it: "no channel configured", "waiting", or the last error of a channel.
    """

    type: MessageType
    severity: Severity
    title: str
    created_at: datetime
    reason: str


@dataclass(frozen=True)
class ChannelRecord:
    """What became of messages on one channel.

    Attributes:
        channel: The channel's name.
        delivered: Messages it confirmed, those in digests included.
        given_up: Messages it will not get.
        delivered_at: When it confirmed one last; None when it did not.
        waiting: Messages neither delivered nor given up, those that are held included.
    """

    channel: str
    delivered: int
    given_up: int
    delivered_at: datetime | None
    waiting: int


@dataclass(frozen=True)
class MessageRecord:
    """What became of one message on each of its channels.

    Attributes:
        title: Its one line.
        created_at: UTC.
        places: What to say of each channel: "12:01:03", "waits", "held", "in a digest", or why it was given up.
    """

    title: str
    created_at: datetime
    places: Mapping[str, str]


class DeliveryQueue(Protocol):
    """What delivery needs. Every method raises `DatabaseUnavailable`; repeating it is then safe."""

    def load_unrouted(self, limit: int) -> Mapping[int, Message]:
        """Return the oldest messages that no delivery pass has seen, by id."""
        ...

    def save_routes(
        self, routes: Mapping[int, Sequence[str]], now: datetime, held: Collection[tuple[int, str]] = ()
    ) -> None:
        """Create the deliveries of each message, once per channel; an empty list means that nobody is told.

        Args:
            routes: The channels of each message.
            now: UTC.
            held: The message and the channel of each that waits for a digest.
        """
        ...

    def load_held(self) -> Mapping[str, Held]:
        """Return what waits for digests, by channel; channels with nothing held are absent."""
        ...

    def load_held_messages(self, channel: str, limit: int) -> Mapping[int, Message]:
        """Return the oldest messages that the channel holds, with their files, by id."""
        ...

    def release_held(self, channel: str, keys: Sequence[int], digest: Message | None, now: datetime) -> bool:
        """Queue held messages, in one step: as they are, or by a digest in their place.

        Returns:
            False when one of them is held no more; then nothing was changed.
        """
        ...

    def load_urgent(self, since: datetime) -> Mapping[int, Sequence[Route]]:
        """Return the deliveries of urgent messages created since, where at least one is not delivered."""
        ...

    def claim(
        self, channel: str, owner: str, now: datetime, until: datetime, *, probing: bool = False
    ) -> Delivery | None:
        """Claim the channel's next delivery, urgent first, then by age; None when nothing is due.

        A message that failed `STUCK_AFTER` times keeps its place, because the channel may be down; `probing` asks for
        one behind it. Once that is delivered, the message is to blame: it goes last, and nobody waits for it any more.
        Nor does anyone wait for files that fail when people have their text, or for what was sent twice in doubt.

        Nothing is due while another sender holds a claim on the channel or the channel is to be left in peace.
        A claim that ran out belongs to a dead sender: its delivery comes back in doubt.
        """
        ...

    def settle(self, delivery_id: int, owner: str, settlement: Settlement, now: datetime) -> bool:
        """Record what an attempt changed; False when the claim had run out and another sender took over."""
        ...

    def give_up_abandoned(self, channels: Sequence[str], before: datetime, reason: str) -> int:
        """Give up what waits since `before` for channels that are none of these; returns how many."""
        ...

    def load_backlog(self) -> Mapping[str, Backlog]:
        """Return what waits, by channel; channels with nothing waiting are absent."""
        ...

    def load_channel_records(self, since: datetime) -> Sequence[ChannelRecord]:
        """Return what became of the messages created since, by channel in the order of names."""
        ...

    def load_message_records(self, limit: int) -> Sequence[MessageRecord]:
        """Return what became of the newest messages, newest first."""
        ...

    def load_undelivered(self, since: datetime, limit: int) -> Sequence[Undelivered]:
        """Return messages created since that no channel has confirmed, urgent first, then newest first."""
        ...


class NotificationStore(Outbox, DeliveryQueue, Protocol):
    """The outbox with both its sides."""
