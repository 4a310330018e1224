"""Digests: messages that waited go out together, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from lib.notifications.channels import Channel, FilePlace, Subscriber
from lib.notifications.messages import (
    LARGEST_ATTACHMENT_BYTES,
    MAX_ATTACHMENTS,
    Attachment,
    Message,
    MessageType,
    Severity,
)
from lib.notifications.outbox import NotificationStore
from lib.notifications.parts import SHORT_CHANNEL

MOST_MESSAGES = 40  # in a digest; what else waits goes out in the next one, at once
MOST_CHARACTERS = 20_000  # of their texts, so that no channel has to cut them
LONGEST_EXCERPT = 120
TEXTS = "messages.txt"


def send_held(store: NotificationStore, subscribers: Sequence[Subscriber], now: datetime) -> None:
    """Put what waited long enough into the queues of its channels: one message as itself, several as a digest.

    Each is put there once, whoever else does so at the same time, and whenever we are killed.
    """
    held = store.load_held()
    for subscriber in subscribers:
        name = subscriber.name
        if name not in held or subscriber.holding.find_due(held[name].since, now) > now:
            continue
        while waiting := store.load_held_messages(name, MOST_MESSAGES):
            batch = _take(waiting)
            digest = write_digest(subscriber, batch, now) if len(batch) > 1 else None
            if not store.release_held(name, tuple(batch), digest, now):
                break  # another pass has just done it


def _take(waiting: Mapping[int, Message]) -> dict[int, Message]:
    """Return the oldest messages whose texts and files fit into one message; always one at least."""
    batch: dict[int, Message] = {}
    files, characters = 1, 0
    for key, message in waiting.items():
        files += len(message.attachments)
        characters += len(message.title) + len(message.body)
        if batch and (files > MAX_ATTACHMENTS or characters > MOST_CHARACTERS):
            break
        batch[key] = message
    return batch


def write_digest(subscriber: Subscriber, batch: Mapping[int, Message], now: datetime) -> Message:
    """Return the one message of several, oldest first: a line or two for each; its files have all that they say.

    On a channel that shows no files the whole texts are in the message itself; on one for short texts only the titles.
    The files are there all the same: a channel whose settings are wrong may show them once they are mended.
    """
    messages = list(batch.values())
    whole = "\n\n".join(_render_whole(message) for message in messages)
    first, last = messages[0].created_at, messages[-1].created_at
    files = [
        replace(file, name=f"{number:02} {file.name[-97:]}")
        for number, message in enumerate(messages, 1)
        for file in message.attachments
    ]
    return Message(
        MessageType.OPERATIONS,
        Severity.INFO,
        f"📬 {len(messages)} messages, {first:%Y-%m-%d %H:%M} to {_render_end(first, last)} UTC",
        _choose_body(subscriber.channel, messages, whole),
        f"digest:{subscriber.name}:{min(batch)}:{max(batch)}",
        now,
        attachments=(Attachment(TEXTS, "text/plain", whole.encode()[:LARGEST_ATTACHMENT_BYTES]), *files),
    )


def _choose_body(channel: Channel, messages: Sequence[Message], whole: str) -> str:
    if channel.max_characters < SHORT_CHANNEL:
        return "\n".join(message.title for message in messages)
    if channel.file_place is FilePlace.NOWHERE:
        return whole
    todo = f"What to do: see {TEXTS} for the whole texts, each with its link."
    return "\n".join([*(_render_brief(message) for message in messages), todo])


def _render_end(first: datetime, last: datetime) -> str:
    return f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"


def _render_brief(message: Message) -> str:
    line = next(line for line in message.body.splitlines() if line.strip())
    excerpt = line if len(line) <= LONGEST_EXCERPT else line[: LONGEST_EXCERPT - 1].rstrip() + "…"
    return f"{message.created_at:%H:%M} {message.title}\n{excerpt}"


def _render_whole(message: Message) -> str:
    link = f"\n{message.link}" if message.link else ""
    return f"{message.created_at:%Y-%m-%d %H:%M} UTC  {message.title}\n{message.body}{link}"
