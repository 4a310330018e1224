from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lib.reporting.pages import prune_pages
from lib.results import Status

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
YEAR_AGO = NOW - timedelta(days=365)


def write(path: Path, days_old: float) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("page")
    written_at = (NOW - timedelta(days=days_old)).timestamp()
    os.utime(path, (written_at, written_at))
    return path


def test_pages_of_reports_and_backtests_go_when_they_are_old_and_nothing_else(tmp_path: Path) -> None:
    old = [write(tmp_path / name, 366) for name in ("reports/daily.html", "reports/x.html.17.part", "backtests/b.html")]
    kept = [
        write(tmp_path / "reports" / "weekly.html", 364),
        write(tmp_path / "reports" / "notes.txt", 900),
        write(tmp_path / "page.html", 900),
    ]
    dry = prune_pages(tmp_path, YEAR_AGO, dry_run=True)
    assert (dry.status, dry.detail) == (Status.SKIPPED, "3 pages from before 2025-11-23 would be deleted")
    assert all(path.exists() for path in old)
    done = prune_pages(tmp_path, YEAR_AGO, dry_run=False)
    assert (done.status, done.detail) == (Status.OK, "3 pages from before 2025-11-23 deleted")
    assert not any(path.exists() for path in old) and all(path.exists() for path in kept)


def test_a_home_without_pages_has_none(tmp_path: Path) -> None:
    assert prune_pages(tmp_path, YEAR_AGO, dry_run=False).status is Status.SKIPPED


@pytest.mark.skipif(os.geteuid() == 0, reason="root deletes anything")
def test_a_page_that_cannot_be_deleted_is_named(tmp_path: Path) -> None:
    page = write(tmp_path / "reports" / "daily.html", 400)
    page.parent.chmod(0o500)
    item = prune_pages(tmp_path, YEAR_AGO, dry_run=False)
    page.parent.chmod(0o700)
    assert item.status is Status.FAILED and str(page) in item.detail
