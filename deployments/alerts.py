"""Alerts that go straight to a channel, past flows, worker and outbox: for when those are what has stopped."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from lib.errors import SettingsError
from lib.notifications.channels import Answer, Channel
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.parts import Part, render_parts
from lib.settings import ChannelSettings

RETRY_SECONDS = (2, 10, 30)


def choose_channels(channels: Mapping[str, ChannelSettings], severity: Severity) -> list[str]:
    """Return the channels that want messages about operations, in order; an urgent one always has a receiver."""
    ordered = sorted(channels, key=lambda name: (channels[name].order, name))
    wanted = [
        name
        for name in ordered
        if channels[name].min_severity.rank <= severity.rank
        and (not channels[name].types or MessageType.OPERATIONS in channels[name].types)
    ]
    return wanted or (ordered[:1] if severity is Severity.URGENT else [])


def send_alert(url: str, title: str, body: str) -> str | None:
    """Send a text to an Apprise URL, trying again for most of a minute where the channel is unavailable.

    Returns:
        None when the channel took it, else its reason, free of secrets.
    """
    from lib.adapters.channels import make_channel  # Apprise costs half a second; few processes ever send

    text, link = _split_link(body)
    message = Message(MessageType.OPERATIONS, Severity.URGENT, title, text, "alert", datetime.now(UTC), link)
    try:
        channel = make_channel("alert", url)
    except SettingsError as error:  # the other channels are told all the same
        return str(error)
    reasons = (_send_part(channel, part) for part in render_parts(message, channel.max_characters))
    return next((reason for reason in reasons if reason), None)


def _split_link(body: str) -> tuple[str, str | None]:
    """Tell the link in the last line from the text: where there is room for little it is kept before the text is."""
    text, _, last = body.rstrip().rpartition("\n")
    return (text, last) if text.strip() and re.fullmatch(r"https?://\S+", last) else (body, None)


def _send_part(channel: Channel, part: Part) -> str | None:
    for wait in (*RETRY_SECONDS, None):
        outcome = channel.send(part, Severity.URGENT)
        if outcome.answer is Answer.DELIVERED:
            return None
        if wait is None or outcome.answer not in (Answer.POSTPONED, Answer.UNAVAILABLE):
            return outcome.reason or outcome.answer.value
        time.sleep(wait)
    return None
