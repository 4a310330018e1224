"""Processes that are killed, or that meet, neither lose nor repeat what people must know."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.risk.conftest import Desk
from tests.risk.samples import hold

ROOT = Path(__file__).parents[2]
HIGH = hold("1000", SOL="9000")
CALM = hold("10000")


@pytest.fixture
def killed(desk: Desk, database_url: str) -> Desk:
    """A process was killed after it had recorded that risk is HIGH."""
    command = [sys.executable, "-m", "tests.risk.killed_analyst", database_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (-9, "recorded 1\n"), done.stderr
    return desk


def test_a_message_goes_with_the_process_that_is_killed_and_the_next_one_tells_it_once(killed: Desk) -> None:
    assert killed.messages() == []
    killed.analyze(HIGH)
    killed.analyze(HIGH, minutes=30)
    assert len(killed.messages()) == 1
    assert len(killed.snapshots()) == 2


def test_when_it_falls_before_the_next_run_the_next_transition_is_still_told(killed: Desk) -> None:
    for state in (CALM, HIGH, CALM, HIGH):
        killed.analyze(state, minutes=10)
    assert [title.split(":")[0] for title in killed.titles()] == [
        "⚠️ HIGH risk",
        "✅ Risk is no longer HIGH",
        "⚠️ HIGH risk",
    ]


def test_runs_at_once_tell_it_once(desk: Desk) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: desk.analyze(HIGH), range(8)))
    assert len(desk.messages()) == 1
    assert sum(result.counts["alerts"] for result in results) == 1
