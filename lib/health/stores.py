"""Where the figures of the database come from, and where the newest record is kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from lib.health.figures import HealthRecord, StoreFigures
from lib.notifications.messages import Message


class Watched(NamedTuple):
    """What the settings name; what is stored of others is not judged."""

    symbols: Sequence[str]
    timeframes: Sequence[str]
    accounts: Sequence[str]


class HealthBook(Protocol):
    """The newest record in an open transaction, which nobody else writes meanwhile."""

    def load(self) -> HealthRecord | None:
        """Return the newest record; None where there is none, or another version of FKS wrote it."""
        ...

    def save(self, record: HealthRecord, messages: Sequence[Message]) -> None:
        """Keep a record in its place, and what people are told."""
        ...


class HealthStore(Protocol):
    """Every method raises `DatabaseUnavailable` when the connection is refused or lost; nothing was stored then."""

    def load_figures(self, now: datetime, watched: Watched) -> StoreFigures:
        """Return what the database tells.

        Args:
            now: UTC.
            watched: What the settings name.
        """
        ...

    def open_book(self) -> AbstractContextManager[HealthBook]:
        """Open a transaction; it is committed at the end, or rolled back by an error."""
        ...
