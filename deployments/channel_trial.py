"""A test message through every channel, straight to it and past the outbox: what did each answer?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from lib.errors import SettingsError
from lib.notifications.channels import Answer, SendOutcome, Subscriber
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.parts import render_parts
from lib.ports import Clock
from lib.settings import Settings
from lib.wiring import make_subscribers

WORDS = {
    Answer.DELIVERED: "delivered",
    Answer.POSTPONED: "asks to wait",
    Answer.UNAVAILABLE: "did not take it",
    Answer.REFUSED: "refuses us",
    Answer.REJECTED: "refuses this message",
}


@dataclass(frozen=True)
class Tried:
    """What a channel answered to the test message."""

    channel: str
    outcome: SendOutcome

    @property
    def is_delivered(self) -> bool:
        """Whether it took the message."""
        return self.outcome.answer is Answer.DELIVERED


def try_channels(settings: Settings, wanted: str | None, clock: Clock) -> list[Tried]:
    """Send the test message once through every channel of the settings, or through the wanted one.

    Raises:
        SettingsError: There is no channel, or not the wanted one.
    """
    subscribers = make_subscribers(settings, clock)
    if not subscribers:
        raise SettingsError("There is no channel. Set FKS_CHANNELS__TEAM__URL, as discord://webhook_id/webhook_token.")
    chosen = [one for one in subscribers if wanted is None or one.name == wanted.lower()]
    if not chosen:
        raise SettingsError(
            f"There is no channel {wanted}. Expected one of {', '.join(one.name for one in subscribers)}."
        )
    return [Tried(one.name, _try(one, clock)) for one in chosen]


def _try(subscriber: Subscriber, clock: Clock) -> SendOutcome:
    part, *_ = render_parts(_write_test(subscriber, clock), subscriber.channel.max_characters)
    return subscriber.channel.send(part, Severity.INFO)


def _write_test(subscriber: Subscriber, clock: Clock) -> Message:
    now = clock.now()
    types = ", ".join(sorted(subscriber.types)) or "every type"
    body = (
        f"FKS reaches this channel ({now:%Y-%m-%d %H:%M} UTC). It gets messages of {types}, from severity "
        f"{subscriber.min_severity} on.\nWhat to do: nothing; this was a test."
    )
    return Message(MessageType.OPERATIONS, Severity.INFO, f"🧪 Test of {subscriber.name}", body, "test", now)


def render_tried(tried: Sequence[Tried]) -> Table:
    """Return what each channel answered, for the terminal."""
    table = Table(title="Test message", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "channel", "answer", "why"):
        table.add_column(heading)
    for one in tried:
        mark = "[green]✓[/green]" if one.is_delivered else "[red]✗[/red]"
        table.add_row(mark, escape(one.channel), WORDS[one.outcome.answer], escape(one.outcome.reason))
    return table
