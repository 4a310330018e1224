"""Imports that failed: people are told, because what they do not see is not watched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lib.notifications.outbox import Outbox
from lib.notifications.texts import write_import_failed
from lib.portfolio.position_report import FILLS
from lib.results import Item, Status


def tell_of_failed_imports(items: Sequence[Item], outbox: Outbox, now: datetime) -> None:
    """Record a message a day about each import that failed; what passes by itself is not told: the next run imports it.

    Args:
        items: Of `update_positions`.
        outbox: Where messages are recorded.
        now: UTC.
    """
    for item in items:
        if item.status is Status.FAILED and item.name.endswith(FILLS) and not item.retryable:
            outbox.record(write_import_failed(item.name, item.detail, at=now))
