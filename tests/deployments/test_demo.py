"""`fks demo`: every expectation holds on the whole stack, nothing of the operator's is touched, and nothing is left."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from deployments.demo.expectations import Expectations
from deployments.demo.run import own_home
from deployments.display import Display
from lib.errors import EnvironmentRefused
from tests.prefect_servers import wait_until

OPERATORS = {
    "FKS_EXCHANGE": "binance",
    "FKS_DATABASE_URL": "postgresql://fks:hunter2@127.0.0.1:1/fks",
    "FKS_CHANNELS__TEAM__URL": "json://127.0.0.1:1/hunter2",
    "FKS_HOME": "/nowhere",
}


@dataclass
class Demo:
    """One `fks demo` whose temporary folder is `folder`, with an operator's settings around it."""

    process: subprocess.Popen[bytes]
    output: Path
    folder: Path

    @property
    def shown(self) -> str:
        return re.sub(r"\s+", " ", self.output.read_text())

    @property
    def home(self) -> Path:
        (home,) = self.folder.glob("fks-demo-*")
        return home

    def find_left(self) -> list[str]:
        """Return what works in its folder still, or lies there."""
        left = [str(path) for path in self.folder.iterdir()]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if str(self.folder) in " ".join(process.cmdline()):
                    left.append(str(process))
        return left


@pytest.fixture
def demo(session_home: Path, tmp_path: Path) -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=session_home))
    folder.chmod(0o755)  # the account that PostgreSQL runs as must enter
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FKS_", "PREFECT_"))}
    output = tmp_path / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments", "demo"],
            env={**clean, **OPERATORS, "TMPDIR": str(folder), "COLUMNS": "200"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    yield Demo(process, output, folder)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@pytest.mark.stack
@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(900)
def test_every_expectation_of_the_demo_holds_and_no_secret_is_shown(demo: Demo) -> None:
    wait_until("the worker runs", lambda: "✓ Worker" in demo.shown or demo.process.poll() is not None, 180)
    password = (demo.home / "postgres" / "password").read_text()
    assert demo.process.wait(600) == 0, demo.shown
    shown = demo.shown
    assert re.search(r"✓ All \d+ expectations hold\.", shown)
    for chain, runs in {"critical-path": 8, "signal-generation": 3, "market-analysis": 4}.items():
        assert shown.count(f"✓ {chain}: Completed") == runs
    for word in (
        "1 Normal market",
        "Open positions",
        "2 Stop loss triggered",
        "🛑 Stop loss triggered: SOL/USDT (demo)",
        "3 BUY signal detected",
        "🚀 BUY ",
        "4 HIGH risk detected",
        "⚠️ HIGH risk: exposure 9",
        "✅ Risk is no longer HIGH: LOW (demo)",
    ):
        assert word in shown
    assert "✗" not in shown
    assert "Traceback" not in shown
    assert "0 alert channels" in shown
    assert password not in shown
    assert "hunter2" not in shown
    assert not demo.find_left()


@pytest.mark.stack
@pytest.mark.xdist_group("demo")
def test_ctrl_c_stops_the_demo_and_leaves_nothing(demo: Demo) -> None:
    wait_until("PostgreSQL runs", lambda: "✓ PostgreSQL" in demo.shown or demo.process.poll() is not None, 90)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(90) == 130
    assert "Stopped; nothing of it is left." in demo.shown
    assert "Traceback" not in demo.shown
    assert not demo.find_left()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[io.StringIO]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield io.StringIO()


def make_display(terminal: io.StringIO) -> tuple[Display, Expectations]:
    console = Console(file=terminal, width=300)
    return Display(console), Expectations(console)


def test_an_expectation_that_does_not_hold_is_named_at_the_end_and_keeps_the_folder(terminal: io.StringIO) -> None:
    display, expectations = make_display(terminal)
    with own_home(display, expectations, threading.Event()) as home:
        expectations.expect("Water is wet", "100 %", holds=True)
        expectations.expect("Fire is cold", "800 degrees", holds=False)
    expectations.show_verdict()
    shown = terminal.getvalue()
    assert "✓ Water is wet  100 %" in shown
    assert "✗ Fire is cold  800 degrees" in shown
    assert re.search(r"✗ 1 of 2 expectations hold. These do not:\s+✗ Fire is cold\n$", shown)
    assert home.is_dir()
    assert f"kept in {home}." in shown


@pytest.mark.parametrize("stopped", [False, True])
def test_an_error_keeps_the_folder_unless_people_have_stopped_it(terminal: io.StringIO, stopped: bool) -> None:
    display, expectations = make_display(terminal)
    stopping = threading.Event()
    with pytest.raises(EnvironmentRefused), own_home(display, expectations, stopping) as home:
        if stopped:
            stopping.set()
        raise EnvironmentRefused("disk full")
    assert home.exists() is not stopped
    assert ("kept in" in terminal.getvalue()) is not stopped
