"""Where the archive's rows come from and go to, and what is on record of them.

Every method of a session is one short transaction, and raises `DatabaseUnavailable` when the database is lost: then
nothing of the call was stored. `EnvironmentRefused` says that a disk is full.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from lib.archive.partitions import Dataset, Partition, Row, Rows
from lib.market.gaps import Span


class ArchiveState(StrEnum):
    """`WRITTEN`: verified, and not all rows are deleted yet. `RESTORED`: brought back, for a while."""

    WRITTEN = "written"
    ARCHIVED = "archived"
    RESTORED = "restored"


@dataclass(frozen=True)
class Entry:
    """One file on record.

    Attributes:
        partition: What it holds.
        path: Relative to the archive's folder.
        rows: In it.
        size_bytes: Of it.
        sha256: Of its bytes, in hexadecimal digits.
        state: Where the rows are.
        deleted: Rows of it that are no longer in the database.
        written_at: When it was verified.
        archived_at: When the last row was deleted.
        restored_at: When the rows were brought back last.
        keep_until: Until when they stay; only of restored ones.
    """

    partition: Partition
    path: str
    rows: int
    size_bytes: int
    sha256: str
    state: ArchiveState
    written_at: datetime
    deleted: int = 0
    archived_at: datetime | None = None
    restored_at: datetime | None = None
    keep_until: datetime | None = None


@dataclass(frozen=True)
class OldMonth:
    """A month of which everything is older than its retention.

    Attributes:
        partition: Which.
        rows: Stored in the database.
        entry: Its file, if it was archived before.
    """

    partition: Partition
    rows: int
    entry: Entry | None


@dataclass(frozen=True)
class Holding:
    """What the archive has of one dataset and timeframe.

    Attributes:
        dataset: Candles or indicators.
        timeframe: Which.
        symbols: How many.
        files: How many.
        rows: In them.
        size_bytes: Of them.
        since: The first month.
        until: The last month.
        restored: Files whose rows are in the database too.
    """

    dataset: Dataset
    timeframe: str
    symbols: int
    files: int
    rows: int
    size_bytes: int
    since: date
    until: date
    restored: int


class Prunable(StrEnum):
    """What is deleted when it is old, without an archive: docs/decisions.md says why."""

    HOLD_SIGNALS = "HOLD signals"
    ATTACHMENTS = "attachments"
    NEWS = "news articles"


@dataclass(frozen=True)
class TableSize:
    """How large a table is with its indexes; named "" for the whole database, "database prefect" for Prefect's.

    Attributes:
        name: Of the table.
        size_bytes: Now.
        rows: The server's estimate.
        grown_day: Bytes since the measurement before that of today; None without one.
        grown_week: Bytes since that of seven days before; None without one.
    """

    name: str
    size_bytes: int
    rows: int
    grown_day: int | None
    grown_week: int | None


class ArchiveSession(Protocol):
    """One connection that holds the archive's lock; who has lost it can write nothing any more."""

    def find_old_months(self, dataset: Dataset, cutoffs: Mapping[str, datetime], spared: int) -> Sequence[OldMonth]:
        """Return the months that end at or before their timeframe's cutoff, oldest first in each series.

        The newest `spared` rows of a series, and the month that begins with them, are never among them.
        """
        ...

    def load_rows(self, partition: Partition) -> list[Row]:
        """Return the stored rows, rising."""
        ...

    def save_entry(self, entry: Entry) -> None:
        """Put a file on record, over the one that was."""
        ...

    def delete_rows(self, partition: Partition, span: Span, rows: Rows) -> None:
        """Delete all that is stored in this part of a month, and note it as archived.

        Raises:
            ArchiveConflict: It is not exactly `rows`; nothing was deleted.
        """
        ...

    def finish(self, partition: Partition, at: datetime) -> None:
        """Note that no row is in the database any more."""
        ...

    def restore_rows(self, entry: Entry, rows: Rows, at: datetime, keep_until: datetime) -> int:
        """Store rows where there is none, let them stay until then, and return how many were stored."""
        ...

    def find_entries(
        self, start: date, end: date, symbols: Collection[str] | None, timeframes: Collection[str] | None
    ) -> Sequence[Entry]:
        """Return the files of these months (`end` is the last one), by partition; None means all."""
        ...

    def summarise(self) -> Sequence[Holding]:
        """Return what the archive has."""
        ...

    def count_prunable(self, what: Prunable, before: datetime) -> int:
        """Return how many rows are older."""
        ...

    def prune(self, what: Prunable, before: datetime, limit: int) -> int:
        """Delete at most `limit` older rows; return how many. Zero: there is none left."""
        ...

    def vacuum(self, tables: Collection[str]) -> None:
        """Make the space of deleted rows usable, and bring the planner's statistics up to date."""
        ...

    def measure(self, at: datetime) -> Sequence[TableSize]:
        """Note today's sizes and return them with their growth: the database, then its tables, the largest first."""
        ...


class ArchiveStore(Protocol):
    """Opens sessions."""

    def open_session(self) -> AbstractContextManager[ArchiveSession]:
        """Connect and take the lock.

        Raises:
            ArchiveBusy: Another run archives or restores.
        """
        ...


class ArchiveFolder(Protocol):
    """Where files are. Every method raises `ArchiveUnavailable`, or `EnvironmentRefused` when its disk is full."""

    def describe(self) -> str:
        """Return where it is, without a secret."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Write a file, over one that is there, so that it survives a loss of power."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's bytes.

        Raises:
            ArchiveDamaged: It is not there.
        """
        ...

    def move(self, path: str, to: str) -> None:
        """Give a file its name, over one that is there."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when there is none."""
        ...


@dataclass(frozen=True)
class Archive:
    """Both sides of the archive: the database and the folder."""

    store: ArchiveStore
    folder: ArchiveFolder
