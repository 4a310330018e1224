"""One month's way into the archive, and out of the database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from lib.archive.parquet import decode, encode
from lib.archive.partitions import Partition, Row, Rows, is_same
from lib.archive.stores import ArchiveFolder, ArchiveSession, ArchiveState, Entry, OldMonth
from lib.errors import ArchiveDamaged, FksError
from lib.market.gaps import Span
from lib.ports import Clock

BATCH_ROWS = 5000  # of one deletion; a sync of the series waits for it, some 50 ms
TEMPORARY = ".part"


@dataclass(frozen=True)
class Mover:
    """What the months of one run share.

    Attributes:
        session: The database.
        folder: The archive.
        clock: Ours.
        advance: Told of each step on the way, and how many rows it deleted.
    """

    session: ArchiveSession
    folder: ArchiveFolder
    clock: Clock
    advance: Callable[[int], None]

    def move_month(self, month: OldMonth) -> Entry:
        """Bring a month's rows into a verified file and delete them; return its entry.

        May be killed anywhere and be called again: it takes what the file on record has together with what is still in
        the database (whose values win), and writes another file only where that is not what the file has.

        Raises:
            ArchiveDamaged: The file holds rows that are nowhere else, and is missing or not as written.
            ArchiveConflict: Rows changed meanwhile.
        """
        stored = self.session.load_rows(month.partition)
        filed = self._load_filed(month.entry)
        merged = sorted(({row[0]: row for row in filed} | {row[0]: row for row in stored}).values(), key=_opened_at)
        entry = month.entry
        if entry is None or not filed or not is_same(merged, filed):
            entry = self._write(month.partition, merged, deleted=len(merged) - len(stored))
        for span, rows in _split(month.partition.span, stored):
            self.session.delete_rows(month.partition, span, rows)
            self.advance(len(rows))
        self.session.finish(month.partition, self.clock.now())
        if month.entry is not None and month.entry.path != entry.path:
            self.folder.remove(month.entry.path)
        self.advance(0)
        return entry

    def _load_filed(self, entry: Entry | None) -> list[Row]:
        """Return the rows of the file on record; none when it can be done without, as all of them are stored."""
        if entry is None:
            return []
        try:
            return read_entry(self.folder, entry)
        except ArchiveDamaged:
            if entry.deleted:
                raise
            return []

    def _write(self, partition: Partition, rows: Rows, deleted: int) -> Entry:
        """Write a file under another name, read it back, give it its name, and put it on record."""
        content = encode(partition, rows)
        sha256 = hashlib.sha256(content).hexdigest()
        path = partition.make_path(sha256)
        entry = Entry(partition, path, len(rows), len(content), sha256, ArchiveState.WRITTEN, self.clock.now(), deleted)
        try:
            self.folder.write(path + TEMPORARY, content)
            self.advance(0)
            if not is_same(list(rows), verify(entry, self.folder.read(path + TEMPORARY))):
                raise ArchiveDamaged(f"The file of {partition} does not read as it was written. Nothing was deleted.")
        except FksError:
            with suppress(FksError):  # a piece of a file must not keep a full disk full
                self.folder.remove(path + TEMPORARY)
            raise
        self.folder.move(path + TEMPORARY, path)
        self.advance(0)
        self.session.save_entry(entry)
        self.advance(0)
        return entry


def read_entry(folder: ArchiveFolder, entry: Entry) -> list[Row]:
    """Return the rows of a file on record.

    Raises:
        ArchiveDamaged: It is missing, or not what was written.
    """
    return verify(entry, folder.read(entry.path))


def verify(entry: Entry, content: bytes) -> list[Row]:
    """Return the rows of a file's content.

    Raises:
        ArchiveDamaged: Its checksum or number of rows is another.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise ArchiveDamaged(
            f"Expected the file {entry.path} with the checksum {entry.sha256[:12]}…, was {found[:12]}… "
            f"({len(content):,} bytes, expected {entry.size_bytes:,}). Put it back from a backup."
        )
    rows = decode(entry.partition, content)
    if len(rows) != entry.rows:
        raise ArchiveDamaged(f"Expected {entry.rows} rows in {entry.path}, was {len(rows)}. Put it back from a backup.")
    return rows


def _split(month: Span, rows: Rows) -> Iterator[tuple[Span, Rows]]:
    """Yield batches of rising rows with the parts of the month that they fill, which leave nothing out."""
    starts = range(0, len(rows), BATCH_ROWS)
    edges = [month.start, *(_opened_at(rows[start]) for start in starts[1:]), month.end]
    for number, start in enumerate(starts):
        yield Span(edges[number], edges[number + 1]), rows[start : start + BATCH_ROWS]


def _opened_at(row: Row) -> datetime:
    opened_at: datetime = row[0]
    return opened_at
