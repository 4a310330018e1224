"""The home folder: what tells of accounts and trades is closed to other users of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from deployments import home


@pytest.fixture
def usual_mask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_mask")
def test_only_the_folder_of_the_database_is_left_to_another_account(tmp_path: Path) -> None:
    folder = home.make_folders(tmp_path / "home")
    assert {path.name for path in folder.iterdir()} == set(home.PRIVATE)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o700}
    assert folder.stat().st_mode & 0o055 == 0o055  # the account that runs PostgreSQL must enter


@pytest.mark.usefixtures("usual_mask")
def test_what_an_operator_has_opened_stays_open(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    home.make_folders(tmp_path)
    assert (tmp_path / "reports").stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("usual_mask")
def test_the_record_of_what_runs_is_ours_alone(tmp_path: Path) -> None:
    us = home.ProcessRecord.of(psutil.Process())
    record = home.StackRecord(
        supervisor=us, started_at=datetime.now(UTC), ui_url="http://ui", postgres="", simulator_url=None, children={}
    )
    home.save_record(tmp_path, record)
    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    assert home.load_record(tmp_path) == record
