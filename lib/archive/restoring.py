"""The task restore_archive."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from lib.archive.partitions import COUNTED, floor_to_month
from lib.archive.report import ArchiveResult
from lib.archive.stores import Archive, ArchiveSession, Entry, Holding
from lib.archive.writing import read_entry
from lib.errors import DatabaseUnavailable, EnvironmentRefused, FksError, OperatorError, SettingsError
from lib.ports import Clock
from lib.results import Item, Status, calc_status, failed_item, render_count

TASK = "restore_archive"
MICROSECOND = timedelta(microseconds=1)
Show = Callable[[int, int, str], None]
logger = logging.getLogger(__name__)


def restore_archive(
    *,
    archive: Archive,
    clock: Clock,
    start: datetime,
    end: datetime,
    symbols: Collection[str] | None,
    timeframes: Collection[str] | None,
    keep: timedelta,
    show: Show | None = None,
) -> ArchiveResult:
    """Bring the months that touch a window back into the database, where `archive_old_data` leaves them for a while.

    The files stay. A row that is in the database already is left as it is; doing it again only lets them stay longer.

    Args:
        archive: Database and folder.
        clock: Now.
        start: First instant.
        end: Last instant, exclusive.
        symbols: Which; None means all.
        timeframes: Which; None means all.
        keep: How long they stay.
        show: Told ``(done, total, what)``.

    Raises:
        AllItemsFailed: No file could be restored.
        ArchiveBusy: Another run archives or restores.
        DatabaseUnavailable: What was restored stays; doing it again carries on.
        OperatorError: Nothing of it is in the archive.
        SettingsError: The window is empty.
    """
    if start >= end:
        raise SettingsError(f"Expected a window, was {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}. Let it end later.")
    started_at = clock.now()
    months = floor_to_month(start), floor_to_month(end - MICROSECOND)
    with archive.store.open_session() as session:
        entries = session.find_entries(*months, symbols, timeframes)
        if not entries:
            raise OperatorError(
                f"Nothing of {months[0]:%Y-%m} to {months[1]:%Y-%m} is archived of what was asked for. "
                + _describe_all(session.summarise())
            )
        items, counts = _restore_all(archive, session, clock, entries, keep, show)
        return ArchiveResult(
            task=TASK,
            status=calc_status(TASK, items),
            counts=counts,
            items=tuple(items),
            started_at=started_at,
            finished_at=clock.now(),
            place=archive.folder.describe(),
            holdings=tuple(session.summarise()),
        )


def _restore_all(
    archive: Archive,
    session: ArchiveSession,
    clock: Clock,
    entries: Sequence[Entry],
    keep: timedelta,
    show: Show | None,
) -> tuple[list[Item], Counter[str]]:
    items: list[Item] = []
    counts: Counter[str] = Counter()
    done, total = 0, sum(entry.rows for entry in entries)
    for entry in entries:
        try:
            rows = read_entry(archive.folder, entry)
            now = clock.now()
            stored = session.restore_rows(entry, rows, now, now + keep)
        except (DatabaseUnavailable, EnvironmentRefused):
            raise
        except Exception as error:  # counted as a failed item
            logger.warning("%s: %s", entry.partition, error, exc_info=None if isinstance(error, FksError) else error)
            items.append(failed_item(str(entry.partition), error))
        else:
            counts[f"{COUNTED[entry.partition.dataset]} restored"] += stored
            items.append(_to_item(entry, stored, now + keep))
        done += entry.rows
        if show is not None:
            show(done, total, "rows restored")
    return items, counts


def _to_item(entry: Entry, stored: int, keep_until: datetime) -> Item:
    stays = f"stays until {keep_until:%Y-%m-%d %H:%M} UTC"
    if stored == entry.rows:
        return Item(name=str(entry.partition), status=Status.OK, detail=f"restored; {stays}")
    if stored:
        there = f"{render_count(stored, 'rows')} restored, the others were there; {stays}"
        return Item(name=str(entry.partition), status=Status.OK, detail=there)
    return Item(name=str(entry.partition), status=Status.SKIPPED, detail=f"was in the database already; {stays}")


def _describe_all(holdings: Sequence[Holding]) -> str:
    if not holdings:
        return "The archive is empty."
    spans = [f"{one.dataset} {one.timeframe} from {one.since:%Y-%m} to {one.until:%Y-%m}" for one in holdings]
    return f"The archive has {', '.join(spans)}."
