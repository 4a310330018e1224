"""The watch over the stack's programs, driven by a clock of its own, on real processes."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from deployments.addresses import Addresses
from deployments.display import Display
from deployments.local import stop_on_signals, tell_people
from deployments.processes import Child, GaveUp
from deployments.stack import Stack
from deployments.watch import Watch
from lib.settings import load_settings
from tests.prefect_servers import free_port, wait_until
from tests.webhooks import WebhookServer


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of one program in place of the Prefect server; nothing is started."""
    shown = Console(file=io.StringIO(), width=200)
    settings = load_settings(home=tmp_path)
    stack = Stack(settings, tmp_path, Display(shown), Addresses(free_port(), None), threading.Event())
    yield stack
    for child in stack.children.values():
        child.stop(1)


def text(stack: Stack) -> str:
    assert isinstance(stack.display.console.file, io.StringIO)
    return re.sub(r"\s+", " ", stack.display.console.file.getvalue())


def add(stack: Stack, source: str) -> Child:
    child = Child("prefect-server", [sys.executable, "-c", source], dict(os.environ), stack.folder / "server.log")
    stack.start_child(child)
    return child


def wait_for_end(child: Child) -> None:
    wait_until("the child has ended", lambda: child.exit_code is not None)


def test_a_crash_is_reported_with_the_end_of_the_log_and_started_again_after_a_pause(stack: Stack) -> None:
    child, clock = add(stack, "import sys; sys.exit('disk on fire')"), Hand()
    watch = Watch(stack, clock)
    wait_for_end(child)
    watch.look()
    assert "prefect-server ended with code 1. Starting it again in 2 s (crash 1 of 5 allowed)." in text(stack)
    assert "disk on fire" in text(stack)
    watch.look()
    assert child.process is None
    clock.seconds += 2
    watch.look()
    assert child.process is not None


def test_a_program_that_keeps_crashing_stops_the_stack_with_the_reason(stack: Stack) -> None:
    child, clock = add(stack, "raise SystemExit(7)"), Hand()
    watch = Watch(stack, clock)
    for _ in range(5):
        wait_for_end(child)
        watch.look()
        clock.seconds += 40
        watch.look()
    wait_for_end(child)
    with pytest.raises(GaveUp, match=r"prefect-server crashed 6 times within 5 minutes.*server\.log"):
        watch.look()


def test_a_server_that_is_alive_and_silent_for_a_minute_is_ended_and_started_again(stack: Stack) -> None:
    child, clock = add(stack, "import time; time.sleep(600)"), Hand()
    watch = Watch(stack, clock)
    for _ in range(7):
        clock.seconds += 10
        watch.look()
    assert "prefect-server did not answer for 60 s" in text(stack)
    assert child.process is None
    clock.seconds += 2
    watch.look()
    assert child.process is not None


def test_people_are_told_on_their_channel_that_the_stack_stops(
    stack: Stack, webhooks: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_CHANNELS__TEAM__URL", webhooks.url)
    stack.settings = load_settings(home=stack.folder)
    tell_people(stack, "worker crashed 6 times")
    (told,) = webhooks.contents
    assert "The FKS stack stops" in told
    assert "worker crashed 6 times" in told
    assert "team was told" in text(stack)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ([signal.SIGINT], ""),
        ([signal.SIGTERM], "It was asked to end (SIGTERM), as when its machine shuts down."),
        ([signal.SIGHUP], "Its terminal was closed (SIGHUP)."),
        ([signal.SIGINT, signal.SIGHUP], ""),
    ],
)
def test_a_stop_that_nobody_at_the_terminal_asked_for_has_a_reason_for_people(
    numbers: list[signal.Signals], reason: str
) -> None:
    with stop_on_signals() as stopping:
        for number in numbers:
            signal.raise_signal(number)
        assert stopping.is_set()
    assert stopping.reason == reason
