"""The task archive_old_data."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lib.archive.partitions import Dataset
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
COUNTED = {Dataset.CANDLES: "candles", Dataset.INDICATORS: "indicator rows"}
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


@dataclass
class _Tally:
    """What has been done so far."""

    items: list[Item] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tables: set[str] = field(default_factory=set)
    kept_from: dict[str, datetime] = field(default_factory=dict)


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
    started_at, tally = clock.now(), _Tally()
    cutoffs = {
        dataset: {timeframe: started_at - kept for timeframe, kept in by_timeframe.items()}
        for dataset, by_timeframe in retention.kept.items()
    }
    tally.kept_from = {
        f"{dataset} {timeframe}": at for dataset, one in cutoffs.items() for timeframe, at in one.items()
    }
    try:
        with archive.store.open_session() as session:
            months = [
                month for name, at in cutoffs.items() for month in session.find_old_months(name, at, retention.spared)
            ]
            _archive_months(archive, session, clock, months, tally, show, dry_run=dry_run)
            _prune(
                session, {what: started_at - kept for what, kept in retention.pruned.items()}, tally, dry_run=dry_run
            )
            if not dry_run:
                _vacuum(session, tally)
            return _conclude(archive, session, clock, started_at, tally)
    except ArchiveBusy as error:
        tally.items = [Item(name="archive", status=Status.SKIPPED, detail=str(error))]
        return _to_result(archive, clock, started_at, tally)


def _archive_months(
    archive: Archive,
    session: ArchiveSession,
    clock: Clock,
    months: Sequence[OldMonth],
    tally: _Tally,
    show: Show | None,
    *,
    dry_run: bool,
) -> None:
    due = []
    for month in months:
        if stays := _describe_restored(month, clock.now()):
            tally.items.append(Item(name=str(month.partition), status=Status.SKIPPED, detail=stays))
        elif dry_run:
            tally.counts[f"{COUNTED[month.partition.dataset]} to archive"] += month.rows
            tally.items.append(Item(name=str(month.partition), status=Status.SKIPPED, detail=_describe_planned(month)))
        else:
            due.append(month)
    total, done = sum(month.rows for month in due), 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if show is not None:
            show(done, total, "rows archived")

    mover = Mover(session, archive.folder, clock, advance)
    for number, month in enumerate(due):
        try:
            tally.items.append(_move(mover, month, tally))
        except DatabaseUnavailable:
            raise
        except EnvironmentRefused as error:  # a full disk: the others would fail likewise
            tally.items += [failed_item(str(one.partition), error) for one in due[number:]]
            return
        except Exception as error:  # counted as a failed item
            logger.warning("%s: %s", month.partition, error, exc_info=None if isinstance(error, FksError) else error)
            tally.items.append(failed_item(str(month.partition), error))


def _move(mover: Mover, month: OldMonth, tally: _Tally) -> Item:
    entry = mover.move_month(month)
    tally.counts[f"{COUNTED[month.partition.dataset]} archived"] += month.rows
    tally.tables.add(month.partition.dataset)
    if month.entry is None or month.entry.state is ArchiveState.WRITTEN:
        detail = "archived"
    elif entry.path == month.entry.path:
        detail = "restored before, and archived again: its file is as it was"
    else:
        detail = "rows came since it was archived; its file has them now"
    return Item(name=str(month.partition), status=Status.OK, detail=detail)


def _describe_restored(month: OldMonth, now: datetime) -> str | None:
    keep_until = month.entry.keep_until if month.entry else None
    if keep_until is None or keep_until <= now:
        return None
    return f"restored from the archive; stays in the database until {keep_until:%Y-%m-%d %H:%M} UTC"


def _describe_planned(month: OldMonth) -> str:
    again = " again" if month.entry else ""
    return f"{render_count(month.rows, 'rows')} would be archived{again}"


def _prune(session: ArchiveSession, cutoffs: Mapping[Prunable, datetime], tally: _Tally, *, dry_run: bool) -> None:
    counts, items = prune_old(session, cutoffs, dry_run=dry_run)
    tally.items += items
    for what, count in counts.items():
        tally.counts[f"old {what} {'to delete' if dry_run else 'deleted'}"] += count
        if count:
            tally.tables.add(TABLES[what])


def _vacuum(session: ArchiveSession, tally: _Tally) -> None:
    """Deleted rows cost space and time until then; that it fails loses nothing."""
    if not tally.tables:
        return
    try:
        session.vacuum(sorted(tally.tables))
    except Exception as error:  # counted as a failed item
        logger.exception("VACUUM failed")
        tally.items.append(failed_item("VACUUM", error))


def _conclude(
    archive: Archive, session: ArchiveSession, clock: Clock, started_at: datetime, tally: _Tally
) -> ArchiveResult:
    result = _to_result(archive, clock, started_at, tally)
    sizes = tuple(session.measure(clock.now()))
    return result.model_copy(update={"holdings": tuple(session.summarise()), "sizes": sizes})


def _to_result(archive: Archive, clock: Clock, started_at: datetime, tally: _Tally) -> ArchiveResult:
    return ArchiveResult(
        task=TASK,
        status=calc_status(TASK, tally.items),
        counts=dict(tally.counts),
        items=tuple(tally.items),
        started_at=started_at,
        finished_at=clock.now(),
        place=archive.folder.describe(),
        kept_from=tally.kept_from,
    )
