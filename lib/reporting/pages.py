"""The pages in the home folder, of reports and of backtests: how long they stay."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from lib.results import Item, Status, render_count

REPORTS, BACKTESTS = "reports", "backtests"
NAME = "old pages"


def prune_pages(home: Path, before: datetime, *, dry_run: bool) -> Item:
    """Delete the pages that were written before an instant, and say how many; what else lies there stays.

    Args:
        home: With the folders of reports and backtests; one that is not there has no pages.
        before: UTC.
        dry_run: Only count them.
    """
    old = [page for folder in (REPORTS, BACKTESTS) for page in _find_old(home / folder, before)]
    size = f"from before {before:%Y-%m-%d}"
    if not old:
        return Item(name=NAME, status=Status.SKIPPED, detail=f"none {size}")
    words = f"{render_count(len(old), 'pages')} {size}"
    if dry_run:
        return Item(name=NAME, status=Status.SKIPPED, detail=f"{words} would be deleted")
    try:
        for page in old:
            page.unlink(missing_ok=True)
    except OSError as error:
        detail = f"{error.filename} could not be deleted ({error.strerror}); mend its folder's permissions"
        return Item(name=NAME, status=Status.FAILED, detail=detail, retryable=False)
    return Item(name=NAME, status=Status.OK, detail=f"{words} deleted")


def _find_old(folder: Path, before: datetime) -> list[Path]:
    """Return whole pages, and parts that a killed run left."""
    pages = [page for pattern in ("*.html", "*.part") for page in folder.glob(pattern) if page.is_file()]
    return [page for page in pages if datetime.fromtimestamp(page.lstat().st_mtime, UTC) < before]
