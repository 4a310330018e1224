"""The block type through which the Prefect server itself reaches the operator's channels.

Registered by the entry point `prefect.collections`, so that the server process knows it too: it must be able to tell
people that chains have stopped when no worker is left.
"""

from __future__ import annotations

from prefect.blocks.notifications import AppriseNotificationBlock


class AlertChannel(AppriseNotificationBlock):
    """An operator's channel, by any Apprise URL; `fks apply` copies it from the settings."""

    _block_type_name = "FKS alert channel"
    _block_type_slug = "fks-alert-channel"
