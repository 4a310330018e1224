"""Layout: a message as one channel gets it, text first and then its files."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lib.notifications.channels import Channel, FilePlace
from lib.notifications.outbox import Delivery
from lib.notifications.parts import Part, mark_repeat, render_file_parts, render_parts

TOGETHER_TRIES = 3  # then the text goes alone: its files may be what the channel cannot take


@dataclass(frozen=True)
class Layout:
    """The parts of a message on a channel, in order; `Delivery.parts_sent` counts through texts, then files."""

    texts: tuple[Part, ...]
    files: tuple[Part, ...]

    @property
    def count(self) -> int:
        """How many parts there are."""
        return len(self.texts) + len(self.files)


@dataclass(frozen=True)
class NextPart:
    """What is sent next; it covers two parts where files go with the end of the text."""

    part: Part
    covers: int = 1


def lay_out(delivery: Delivery, channel: Channel) -> Layout:
    """Return the message as the channel gets it. The same message gives the same parts."""
    message, limit = delivery.message, channel.max_characters
    files = () if channel.file_place is FilePlace.NOWHERE else render_file_parts(message, limit)
    return Layout(render_parts(message, limit), files)


def find_next(delivery: Delivery, layout: Layout, channel: Channel) -> NextPart:
    """Return what to send after the parts that are confirmed, saying so where it may be a repeat."""
    parts = (*layout.texts, *layout.files)
    place = min(delivery.parts_sent, len(parts) - 1)
    part, covers = parts[place], 1
    ends_text = place == len(layout.texts) - 1
    together = channel.file_place is FilePlace.WITH_TEXT and delivery.failures <= TOGETHER_TRIES
    if ends_text and layout.files and together:
        part, covers = replace(part, attachments=layout.files[0].attachments), 2
    return NextPart(mark_repeat(part, channel.max_characters) if delivery.doubts else part, covers)
