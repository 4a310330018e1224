"""Killed anywhere, the archive loses nothing, and the next run ends the work."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from lib.archive.report import ArchiveResult
from lib.archive.writing import read_entry
from lib.results import Status
from lib.settings import PROJECT_ROOT
from tests.archive.rooms import DECEMBER, JANUARY, MARCH, Room
from tests.market.exchanges import BTC_5M

STEPS = ["written", "named", "on record", "half deleted", "deleted", "done"]
PATIENCE_SECONDS = 20


class Worker:
    """The program of `tests.archive.worker`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, room: Room, action: str, **end: Any) -> int:
        """Return the exit status of a child."""
        url = room.engine.url.render_as_string(hide_password=False)
        given = {"url": url, "folder": room.folder, "now": room.clock.now().isoformat(), "action": action}
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(given | end), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    command = [sys.executable, "-m", "tests.archive.worker"]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Worker(process)
        process.kill()


@pytest.fixture
def december(empty_room: Room) -> Room:
    """5m candles of December, two batches, and one of March, which stays."""
    empty_room.timeframe = "5m"
    empty_room.spared = 0
    empty_room.store_candles(BTC_5M, DECEMBER, until=JANUARY)
    empty_room.query(
        "INSERT INTO candles SELECT symbol, timeframe, :now, open, high, low, close, volume, quote_volume, trade_count "
        "FROM candles LIMIT 1",
        now=empty_room.clock.now(),
    )
    return empty_room


def repeat_until_free(call: Any) -> ArchiveResult:
    """Call again while the server still believes that the killed one lives."""
    deadline = monotonic() + PATIENCE_SECONDS
    while monotonic() < deadline:
        result: ArchiveResult = call()
        if all(item.name != "archive" for item in result.items):
            return result
    raise AssertionError("the killed run's lock is still held")


def collect(room: Room) -> list[tuple[Any, ...]]:
    """Return every candle that is in the database or in a verified file on record, once."""
    found = {row[2]: row for row in room.rows(before=MARCH)}
    with room.parts.store.open_session() as session:
        for entry in session.find_entries(DECEMBER.date(), DECEMBER.date(), None, None):
            for row in read_entry(room.parts.folder, entry):
                found.setdefault(row[0], ("BTC/USDT", "5m", *row))
    return [found[at] for at in sorted(found)]


@pytest.mark.parametrize("step", range(1, len(STEPS) + 1), ids=STEPS)
def test_killed_after_any_step_nothing_is_lost_and_the_next_run_ends_it(
    december: Room, worker: Worker, step: int
) -> None:
    before = december.rows()
    assert worker.run(december, "archive", step=step) == -signal.SIGKILL
    left = len(december.rows())
    assert left == {"half deleted": len(before) - 5000, "deleted": 0, "done": 0}.get(STEPS[step - 1], len(before))
    repeat_until_free(lambda: december.archive(dry_run=True))
    assert collect(december) == before

    result = december.archive()
    assert result.status is (Status.SKIPPED if not left else Status.OK)
    assert december.rows() == []
    assert len(december.files()) == 1  # no other file, no piece of one
    assert december.restore(DECEMBER, JANUARY).counts == {"candles restored": len(before)}
    assert december.rows() == before


def test_killed_in_the_middle_of_a_file_nothing_is_deleted_and_the_piece_is_written_over(
    december: Room, worker: Worker
) -> None:
    before, folder = december.rows(), december.folder
    december.folder = f"killing://{folder}"
    assert worker.run(december, "archive") == -signal.SIGKILL
    december.folder = folder
    assert december.rows() == before
    assert [Path(file).suffix for file in december.files()] == [".part"]
    assert repeat_until_free(december.archive).status is Status.OK
    assert [Path(file).suffix for file in december.files()] == [".parquet"]


def test_killed_at_any_moment_archiving_and_restoring_end_where_they_should(december: Room, worker: Worker) -> None:
    before = december.rows()
    for number in range(12):
        action = "restore" if number % 4 == 3 else "archive"
        worker.run(december, action, after=0.02 + 0.04 * number)
        december.clock.advance(days=31)  # what was restored is old again
        repeat_until_free(lambda: december.archive(dry_run=True))
        assert collect(december) == before
    assert repeat_until_free(december.archive).status in (Status.OK, Status.SKIPPED)
    assert december.rows() == []
    december.restore(DECEMBER, JANUARY, keep=timedelta(days=1))
    assert december.rows() == before
