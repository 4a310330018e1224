"""The task archive_old_data."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lib.archive.partitions import COUNTED, Dataset
from lib.archive.pruning import prune_old
from lib.archive.report import ArchiveResult
from lib.archive.stores import Archive, ArchiveSession, ArchiveState, OldMonth, Prunable
from lib.archive.writing import Mover
from lib.errors import ArchiveBusy, DatabaseUnavailable, EnvironmentRefused, FksError
from lib.ports import Clock
from lib.results import Item, Status, calc_status, failed_item, render_count

TASK = "archive_old_data"
TABLES = {
    Prunable.HOLD_SIGNALS: "signals",
    Prunable.ATTACHMENTS: "notification_attachments",
    Prunable.NEWS: "news_articles",
}
Show = Callable[[int, int, str], None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retention:
    """How long what stays in the database.

    Attributes:
        kept: By dataset and timeframe; a timeframe that is not named is kept for ever.
        spared: The newest rows of each series stay, however old they are.
        pruned: What is deleted when it is older.
    """

    kept: Mapping[Dataset, Mapping[str, timedelta]]
    spared: int
    pruned: Mapping[Prunable, timedelta]


def archive_old_data(
    *, archive: Archive, clock: Clock, retention: Retention, dry_run: bool = False, show: Show | None = None
) -> ArchiveResult:
    """Move candles and indicators that are older than their retention to the archive, and delete other old rows.

    Whole months only. Each is written, read back, put on record and only then deleted, in batches; killed anywhere,
    the next run carries on. One month's failure does not stop another, but a full disk ends the run.

    Args:
        archive: Database and folder.
        clock: Now.
        retention: What is old.
        dry_run: Only say what would be done.
        show: Told ``(done, total, what)``.

    Raises:
        AllItemsFailed: Nothing succeeded.
        DatabaseUnavailable: What was done stays, and the next run carries on.
    """
    now = clock.now()
    kept_from = {
        dataset: {timeframe: now - age for timeframe, age in ages.items()} for dataset, ages in retention.kept.items()
    }
    night = _Night(archive, clock, dry_run, show, now, kept_from)
    try:
        with archive.store.open_session() as session:
            months = [
                month for name, at in kept_from.items() for month in session.find_old_months(name, at, retention.spared)
            ]
            night.archive_months(session, months)
            night.prune(session, retention.pruned)
            night.vacuum(session)
            result, sizes = night.conclude(), tuple(session.measure(clock.now()))
            return result.model_copy(update={"holdings": tuple(session.summarise()), "sizes": sizes})
    except ArchiveBusy as error:
        night.items = [Item(name="archive", status=Status.SKIPPED, detail=str(error))]
        return night.conclude()


def _describe_restored(month: OldMonth, now: datetime) -> str | None:
    keep_until = month.entry.keep_until if month.entry else None
    if keep_until is None or keep_until <= now:
        return None
    return f"restored from the archive; stays in the database until {keep_until:%Y-%m-%d %H:%M} UTC"


@dataclass
class _Night:
    """One run, and what it has done so far.

    Attributes:
        kept_from: By dataset and timeframe, what is older is archived.
    """

    archive: Archive
    clock: Clock
    dry_run: bool
    show: Show | None
    started_at: datetime
    kept_from: Mapping[Dataset, Mapping[str, datetime]]
    items: list[Item] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tables: set[str] = field(default_factory=set)

    def archive_months(self, session: ArchiveSession, months: Sequence[OldMonth]) -> None:
        """Move every month that is due; a full disk ends it."""
        due = [month for month in months if self._is_due(month)]
        mover = Mover(session, self.archive.folder, self.clock, self._count_to(sum(month.rows for month in due)))
        for number, month in enumerate(due):
            try:
                self.items.append(self._move(mover, month))
            except DatabaseUnavailable:
                raise
            except EnvironmentRefused as error:  # the others would fail likewise
                self.items += [failed_item(str(one.partition), error) for one in due[number:]]
                return
            except Exception as error:  # counted as a failed item
                unforeseen = None if isinstance(error, FksError) else error
                logger.warning("%s: %s", month.partition, error, exc_info=unforeseen)
                self.items.append(failed_item(str(month.partition), error))

    def _is_due(self, month: OldMonth) -> bool:
        """Return whether to move it now, and say why not."""
        told = _describe_restored(month, self.clock.now())
        if told is None and self.dry_run:
            self.counts[f"{COUNTED[month.partition.dataset]} to archive"] += month.rows
            told = f"{render_count(month.rows, 'rows')} would be archived{' again' if month.entry else ''}"
        if told is not None:
            self.items.append(Item(name=str(month.partition), status=Status.SKIPPED, detail=told))
        return told is None

    def _count_to(self, total: int) -> Callable[[int], None]:
        done = 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            if self.show is not None:
                self.show(done, total, "rows archived")

        return advance

    def _move(self, mover: Mover, month: OldMonth) -> Item:
        entry = mover.move_month(month)
        self.counts[f"{COUNTED[month.partition.dataset]} archived"] += month.rows
        self.tables.add(month.partition.dataset)
        if month.entry is None or month.entry.state is ArchiveState.WRITTEN:
            detail = "archived"
        elif entry.path == month.entry.path:
            detail = "restored before, and archived again: its file is as it was"
        else:
            detail = "rows came since it was archived; its file has them now"
        return Item(name=str(month.partition), status=Status.OK, detail=detail)

    def prune(self, session: ArchiveSession, kept: Mapping[Prunable, timedelta]) -> None:
        """Delete what is not archived."""
        cutoffs = {what: self.started_at - age for what, age in kept.items()}
        counts, items = prune_old(session, cutoffs, dry_run=self.dry_run)
        self.items += items
        for what, count in counts.items():
            self.counts[f"old {what} {'to delete' if self.dry_run else 'deleted'}"] += count
            if count:
                self.tables.add(TABLES[what])

    def vacuum(self, session: ArchiveSession) -> None:
        """Deleted rows cost space and time until then; that it fails loses nothing."""
        if self.dry_run or not self.tables:
            return
        try:
            session.vacuum(sorted(self.tables))
        except Exception as error:  # counted as a failed item
            logger.warning("VACUUM: %s", error, exc_info=error)
            self.items.append(failed_item("VACUUM", error))

    def conclude(self) -> ArchiveResult:
        """Return what was done."""
        return ArchiveResult(
            task=TASK,
            status=calc_status(TASK, self.items),
            counts=dict(self.counts),
            items=tuple(self.items),
            started_at=self.started_at,
            finished_at=self.clock.now(),
            place=self.archive.folder.describe(),
            kept_from={
                f"{dataset} {timeframe}": at for dataset, one in self.kept_from.items() for timeframe, at in one.items()
            },
        )
