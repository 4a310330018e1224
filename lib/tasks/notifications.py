"""Messages: `send_notifications`."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from lib.notifications import sending
from lib.notifications.delivery import Pace
from lib.notifications.messages import MessageType
from lib.notifications.routing import find_next_due as find_due
from lib.notifications.sending import NotificationsResult
from lib.notifications.texts import write_note
from lib.platform import Platform


async def send_notifications(
    platform: Platform,
    kind: MessageType | None = None,
    message: str | None = None,
    *,
    urgent: bool = False,
    key: str = "",
    seconds: float = 20,
) -> NotificationsResult:
    """Record the message if there is one, and deliver what is due.

    Args:
        platform: The parts.
        kind: What the message is about.
        message: In a person's own words; None to deliver only.
        urgent: Whether a person must see it now.
        key: The run's id, so that a retry says it once.
        seconds: How long delivery goes on while messages are due; see `Pace`.
    """
    note = None
    if message is not None:
        at = platform.clock.now()
        note = write_note(kind or MessageType.OPERATIONS, message, urgent=urgent, key=key, at=at)
    pace = Pace(budget_seconds=seconds, escalation_seconds=platform.settings.escalation_seconds)
    return await asyncio.to_thread(
        sending.send_notifications, platform.notifications, platform.subscribers, platform.clock, note=note, pace=pace
    )


async def find_next_due(platform: Platform) -> datetime | None:
    """Return when delivery next has something to do, now at the earliest; None when nothing waits for a channel."""
    patience = timedelta(seconds=platform.settings.escalation_seconds)
    return await asyncio.to_thread(
        find_due, platform.notifications, platform.subscribers, platform.clock.now(), patience
    )
