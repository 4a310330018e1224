"""Children: their logs, their end, and their crashes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from deployments import processes
from deployments.processes import Child, Crashes, GaveUp, last_lines
from tests.prefect_servers import wait_until

PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""


def python(tmp_path: Path, source: str, **environment: str) -> Child:
    return Child(
        "child", [sys.executable, "-c", source], {**os.environ, **environment}, tmp_path / "logs" / "child.log"
    )


def test_a_child_has_its_own_environment_and_a_log_that_goes_on(tmp_path: Path) -> None:
    for word in ("one", "two"):
        child = python(tmp_path, "import os; print(os.environ['WORD'])", WORD=word)
        child.start()
        assert child.process is not None
        assert child.process.wait(20) == 0
    assert last_lines(child.log) == ["one", "two"]


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    child = python(tmp_path, "import os; print(os.getsid(0) == os.getpid())")
    child.start()
    assert child.process is not None
    child.process.wait(20)
    assert last_lines(child.log) == ["True"]


def test_a_child_that_does_not_listen_is_killed_with_all_it_started(tmp_path: Path) -> None:
    child = python(tmp_path, PARENT)
    child.start()
    assert child.process is not None
    wait_until("the child has a child", lambda: last_lines(child.log))
    family = [child.process, *child.process.children()]
    assert len(family) == 2
    child.stop(seconds=0.5)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_a_full_log_is_moved_aside_while_the_child_goes_on_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES", 2000)
    child = python(tmp_path, "import time\nwhile True: print('x' * 99, flush=True); time.sleep(0.01)")
    child.start()
    try:
        for copies in (1, 2, 3, 3):
            wait_until("the log is full", lambda: child.log.exists() and child.log.stat().st_size >= 2000)
            child.rotate_log()
            assert child.log.stat().st_size < 2000
            assert len(list(child.log.parent.iterdir())) == 1 + copies
        wait_until("the child goes on writing", lambda: last_lines(child.log))
    finally:
        child.stop()
    assert set(last_lines(child.log)) == {"x" * 99}


def test_the_end_of_a_log_is_text_whatever_is_in_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert last_lines(log) == []
    log.write_bytes(b"first\n" * 30_000 + b"\xff\xfe\nlast\n")
    assert last_lines(log, 2) == ["\ufffd\ufffd", "last"]


def test_five_crashes_within_five_minutes_are_allowed_and_a_sixth_is_not(tmp_path: Path) -> None:
    crashes = Crashes("worker", tmp_path / "worker.log")
    assert [crashes.count(at) for at in (0.0, 60.0, 120.0, 180.0, 240.0)] == [1, 2, 3, 4, 5]
    assert crashes.count(301.0) == 5  # the first one is forgotten
    with pytest.raises(GaveUp, match=r"worker crashed 6 times within 5 minutes.*worker\.log"):
        crashes.count(302.0)
