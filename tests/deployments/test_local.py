"""The whole stack on one command: started, watched, killed, taken over, stopped. Flows are a small project's own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import pytest

from deployments import home, postgres
from tests.prefect_servers import free_port, wait_until
from tests.webhooks import WebhookServer

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("local"), pytest.mark.timeout(240)]

MARKET = '''
from prefect import flow

@flow
def critical_path():
    """Do nothing."""
'''
PREFECT_YAML = """
deployments:
  - name: every-5-minutes
    entrypoint: flows/market.py:critical_path
    description: The chain.
    tags: [fks, test]
    schedules:
      - {interval: 300, anchor_date: "2026-01-01T00:00:02+00:00", timezone: UTC}
    work_pool: {name: fks, work_queue_name: critical}
"""
UP = """
import sys
from pathlib import Path
from deployments import processes
from deployments.cli import display
from deployments.local import up
from lib.errors import FksError
from lib.settings import load_settings
if len(sys.argv) > 2:
    processes.CRASHES_ALLOWED = int(sys.argv[2])
try:
    up(load_settings(), display, Path(sys.argv[1]))
except FksError as error:
    display.fail(str(error))
    sys.exit(1)
"""


@dataclass
class Terminal:
    """One `fks up` and what it showed."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        """What it showed so far, with every run of white space as one blank."""
        return re.sub(r"\s+", " ", self.output.read_text())

    def shows(self, words: str) -> bool:
        """Return whether it has shown this, or has ended, which a test then sees."""
        return words in self.text or self.process.poll() is not None


@dataclass
class Machine:
    """A home folder, and the commands that a person gives there."""

    folder: Path
    env: dict[str, str]
    started: list[Terminal]

    def up(self, *crashes_allowed: str) -> Terminal:
        output = self.folder / f"terminal-{len(self.started)}.txt"
        with output.open("wb") as file:
            command = [sys.executable, "-c", UP, str(self.folder / "project"), *crashes_allowed]
            process = subprocess.Popen(command, env=self.env, stdout=file, stderr=subprocess.STDOUT)
        self.started.append(Terminal(process, output))
        return self.started[-1]

    def fks(self, *arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "deployments", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)

    @property
    def record(self) -> home.StackRecord:
        record = home.load_record(self.folder)
        assert record is not None
        return record

    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self.record.children.items()}

    def is_dead_man_watched(self) -> bool:
        """Return whether the stopped stack has left its dead man's switch on."""
        server = postgres.start(self.folder / "postgres")
        with closing(psycopg2.connect(server.url("prefect"))) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT enabled FROM automation WHERE name LIKE 'fks: critical-path/% has stopped'")
            [[enabled]] = cursor.fetchall()
        return bool(enabled)


@pytest.fixture
def machine(session_home: Path) -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="machine-", dir=session_home))
    folder.chmod(0o755)  # the account that PostgreSQL runs as must enter
    (folder / "project" / "flows").mkdir(parents=True)
    (folder / "project" / "flows" / "__init__.py").touch()
    (folder / "project" / "flows" / "market.py").write_text(MARKET)
    (folder / "project" / "prefect.yaml").write_text(PREFECT_YAML)
    ports = {"FKS_PREFECT_PORT": str(free_port()), "FKS_SIMULATOR_PORT": str(free_port())}
    machine = Machine(folder, {**os.environ, "FKS_HOME": str(folder), "COLUMNS": "200", **ports}, [])
    yield machine
    for terminal in machine.started:
        terminal.process.kill()
        terminal.process.wait()
    home.end_leftovers(folder)
    postgres.stop(folder / "postgres")


def test_the_stack_survives_crashes_and_kills_and_is_never_there_twice(machine: Machine) -> None:
    first = machine.up()
    wait_until("the first run is over", lambda: first.shows("First run: Completed"), 120)
    assert "critical-path/every-5-minutes" in first.text
    assert "nobody is told" in first.text
    assert machine.fks("status")[0] == 0
    wait_until("the kernels are compiled", lambda: first.shows("Indicators and backtests are compiled"), 120)

    code, said = run_to_end(machine.up())
    assert code == 1
    assert f"runs already (process {first.process.pid})" in said
    assert "Traceback" not in said

    before = machine.pids()
    psutil.Process(before["simulator"]).kill()
    wait_until("the simulator runs again", lambda: machine.pids()["simulator"] != before["simulator"])
    assert "simulator ended with code -9" in first.text
    assert f"Simulator on http://127.0.0.1:{machine.env['FKS_SIMULATOR_PORT']}" in first.text  # the end of its log

    server = postgres.find_running(machine.folder / "postgres")
    assert server is not None
    os.kill(int((machine.folder / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    wait_until("PostgreSQL is reported", lambda: first.shows("PostgreSQL had ended and was started again"))
    again = postgres.find_running(machine.folder / "postgres")
    assert again is not None
    assert again.port == server.port

    first.process.kill()
    first.process.wait()
    left = machine.record.children
    code, said = machine.fks("status")
    assert code == 3
    assert "`fks up` was killed" in said

    second = machine.up()
    wait_until("the next stack has its first run", lambda: second.shows("First run: Completed"), 120)
    assert "Ended worker, which an earlier, killed stack had left running." in second.text
    assert "was running already" in second.text
    assert all(child.find() is None for child in left.values())

    running = [child.find() for child in machine.record.children.values()]
    code, said = machine.fks("stop")
    assert code == 0
    assert "Nothing watches stop losses, and nobody is alerted, until the next `fks up`." in said
    assert run_to_end(second)[0] == 0
    assert re.search("Stop worker.*Stop prefect-server.*Stop simulator.*Stop PostgreSQL", second.text)
    assert not any(process and process.is_running() for process in running)
    assert postgres.find_running(machine.folder / "postgres") is None
    code, said = machine.fks("status")
    assert (code, "Nothing runs" in said) == (3, True)


def run_to_end(terminal: Terminal) -> tuple[int, str]:
    return terminal.process.wait(60), terminal.text


def test_a_stop_while_starting_leaves_nothing_running(machine: Machine) -> None:
    terminal = machine.up()
    wait_until("the server is starting", lambda: "prefect-server" in (machine.pids() if has_record(machine) else {}))
    running = [child.find() for child in machine.record.children.values()]
    terminal.process.send_signal(signal.SIGINT)
    code, said = run_to_end(terminal)
    assert code == 0
    assert "Stopped while starting." in said
    assert not any(process and process.is_running() for process in running)
    assert postgres.find_running(machine.folder / "postgres") is None


def has_record(machine: Machine) -> bool:
    return home.load_record(machine.folder) is not None


def test_a_stack_that_gives_up_tells_people_and_leaves_the_dead_mans_switch_on(
    machine: Machine, webhooks: WebhookServer
) -> None:
    machine.env["FKS_CHANNELS__TEAM__URL"] = webhooks.url
    terminal = machine.up("0")
    wait_until("the stack runs", lambda: terminal.shows("Ctrl-C here, or `fks stop`"), 120)
    running = [child.find() for child in machine.record.children.values()]
    psutil.Process(machine.pids()["simulator"]).kill()
    code, said = run_to_end(terminal)
    assert code == 1
    assert "simulator crashed 1 times within 5 minutes, so the stack stops" in said
    assert "team was told" in said
    told = [text for text in webhooks.contents if "The FKS stack stops" in text]
    assert len(told) == 1
    assert "simulator crashed 1 times" in told[0]
    assert "Nothing watches stop losses" in told[0]
    assert not any(process and process.is_running() for process in running)
    assert machine.is_dead_man_watched()


def test_a_closed_terminal_is_a_stop_in_order_that_people_are_told_of(
    machine: Machine, webhooks: WebhookServer
) -> None:
    machine.env["FKS_CHANNELS__TEAM__URL"] = webhooks.url
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(machine.folder / "project")],
        env=machine.env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        shown = bytearray()

        def is_running() -> bool:
            while select.select([ours], [], [], 0)[0]:
                shown.extend(os.read(ours, 65536))
            return b"Ctrl-C here" in shown

        try:
            wait_until("the stack runs", is_running, 120)
            running = [child.find() for child in machine.record.children.values()]
            os.close(ours)
            assert process.wait(90) == 0
        finally:
            process.kill()
    told = [text for text in webhooks.contents if "The FKS stack stops" in text]
    assert len(told) == 1
    assert "Its terminal was closed" in told[0]
    assert not any(child and child.is_running() for child in running)
    assert home.load_record(machine.folder) is None
    assert not machine.is_dead_man_watched()
