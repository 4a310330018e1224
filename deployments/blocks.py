"""The block type through which the Prefect server itself reaches the operator's channels.

Registered by the entry point `prefect.collections`, so that the server process knows it too: it must be able to tell
people that chains have stopped when no worker is left.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect.blocks.abstract import NotificationBlock, NotificationError
from pydantic import Field, SecretStr

if TYPE_CHECKING:
    from lib.notifications.channels import Channel
    from lib.notifications.parts import Part

RETRY_SECONDS = (2, 10, 30)  # an automation sends once; the server waits for us meanwhile


class AlertChannel(NotificationBlock):
    """An operator's channel, by any Apprise URL; `fks apply` copies it from the settings."""

    _block_type_name = "FKS alert channel"
    _block_type_slug = "fks-alert-channel"

    url: SecretStr = Field(title="URL", description="An Apprise URL or a Discord webhook's address.")

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Send a text, trying again where the channel is unavailable.

        Raises:
            NotificationError: When the channel did not take it; the log says why, free of secrets.
        """
        # Imported here: every Prefect process loads this module, and few of them send anything.
        from lib.adapters.channels import make_channel
        from lib.notifications.messages import Message, MessageType, Severity
        from lib.notifications.parts import render_parts

        now = datetime.now(UTC)
        message = Message(MessageType.OPERATIONS, Severity.URGENT, subject or "FKS", body, "prefect", now)
        channel = make_channel("alert", self.url.get_secret_value())
        for part in render_parts(message, channel.max_characters):
            await _send(channel, part)


async def _send(channel: Channel, part: Part) -> None:
    from lib.notifications.channels import Answer
    from lib.notifications.messages import Severity

    for wait in (*RETRY_SECONDS, None):
        outcome = await asyncio.to_thread(channel.send, part, Severity.URGENT)
        if outcome.answer is Answer.DELIVERED:
            return
        if wait is None or outcome.answer not in (Answer.POSTPONED, Answer.UNAVAILABLE):
            raise NotificationError(log=outcome.reason)
        await asyncio.sleep(wait)
