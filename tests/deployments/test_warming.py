"""Compiling ahead, in the background: said when it is over, never a reason to stop."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from deployments.addresses import Addresses
from deployments.display import Display
from deployments.stack import Stack
from deployments.warming import Warming
from lib.settings import load_settings
from tests.prefect_servers import wait_until


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    shown = Console(file=io.StringIO(), width=200)
    return Stack(load_settings(home=tmp_path), tmp_path, Display(shown), Addresses(1, None), threading.Event())


def text(stack: Stack) -> str:
    assert isinstance(stack.display.console.file, io.StringIO)
    return re.sub(r"\s+", " ", stack.display.console.file.getvalue())


@contextmanager
def warming(stack: Stack, source: str) -> Iterator[Warming]:
    warming = Warming(stack, [sys.executable, "-c", source])
    warming.start()
    try:
        yield warming
    finally:
        warming.stop()


def test_it_leaves_the_processor_to_the_runs_and_says_once_that_it_is_over(stack: Stack) -> None:
    go_on = stack.folder / "go-on"
    source = f"""
import os, pathlib, time
while not pathlib.Path({str(go_on)!r}).exists():
    time.sleep(0.05)
print(os.nice(0))
"""
    with warming(stack, source) as background:
        background.follow()
        assert "compiled (" not in text(stack)
        go_on.touch()

        def is_over() -> bool:
            background.follow()
            return "Indicators and backtests are compiled (" in text(stack)

        wait_until("it is over", is_over)
        background.follow()
    assert text(stack).count("compiled (") == 1
    assert (stack.folder / "logs" / "warm.log").read_text().strip() == "19"


def test_a_failure_is_a_warning_with_the_reason(stack: Stack) -> None:
    with warming(stack, "raise SystemExit('no compiler here')") as background:

        def is_over() -> bool:
            background.follow()
            return "could not be compiled ahead (code 1)" in text(stack)

        wait_until("it is over", is_over)
    assert "no compiler here" in text(stack)
