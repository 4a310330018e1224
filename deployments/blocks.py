"""The block type through which the Prefect server itself reaches the operator's channels.

Registered by the entry point `prefect.collections`, so that the server process knows it too: it must be able to tell
people that chains have stopped when no worker is left.
"""

from __future__ import annotations

import asyncio

from prefect.blocks.abstract import NotificationBlock, NotificationError
from pydantic import Field, SecretStr


class AlertChannel(NotificationBlock):
    """An operator's channel, by any Apprise URL; `fks apply` copies it from the settings."""

    _block_type_name = "FKS alert channel"
    _block_type_slug = "fks-alert-channel"

    url: SecretStr = Field(title="URL", description="An Apprise URL or a Discord webhook's address.")

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Send a text.

        Raises:
            NotificationError: When the channel did not take it; the log says why, free of secrets.
        """
        from deployments.alerts import send_alert  # every Prefect process loads this module, few of them send

        reason = await asyncio.to_thread(send_alert, self.url.get_secret_value(), subject or "FKS", body)
        if reason:
            raise NotificationError(log=reason)
