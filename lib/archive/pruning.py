"""What is deleted when it is old, without an archive; docs/decisions.md says why for each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from lib.archive.stores import ArchiveSession, Prunable
from lib.errors import DatabaseUnavailable, EnvironmentRefused
from lib.results import Item, Status, failed_item, render_count

BATCH_ROWS = 10_000
logger = logging.getLogger(__name__)


def prune_old(
    session: ArchiveSession, cutoffs: Mapping[Prunable, datetime], *, dry_run: bool
) -> tuple[dict[Prunable, int], list[Item]]:
    """Prune, and return how many rows of each went, with an item for each; one that fails does not stop the others."""
    counts: dict[Prunable, int] = {}
    items = []
    for what, before in cutoffs.items():
        try:
            counts[what] = _prune_one(session, what, before, dry_run=dry_run)
        except (DatabaseUnavailable, EnvironmentRefused):
            raise
        except Exception as error:  # counted as a failed item
            logger.exception("Old %s could not be deleted", what)
            items.append(failed_item(f"old {what}", error))
        else:
            items.append(_to_item(what, counts[what], before, dry_run=dry_run))
    return counts, items


def _prune_one(session: ArchiveSession, what: Prunable, before: datetime, *, dry_run: bool) -> int:
    if dry_run:
        return session.count_prunable(what, before)
    pruned = 0
    while count := session.prune(what, before, BATCH_ROWS):
        pruned += count
    return pruned


def _to_item(what: Prunable, count: int, before: datetime, *, dry_run: bool) -> Item:
    if not count:
        return Item(name=f"old {what}", status=Status.SKIPPED, detail=f"none from before {before:%Y-%m-%d}")
    done = "would be deleted" if dry_run else "deleted"
    words = render_count(count, str(what))
    status = Status.SKIPPED if dry_run else Status.OK
    return Item(name=f"old {what}", status=status, detail=f"{words} from before {before:%Y-%m-%d} {done}")
