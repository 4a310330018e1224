"""A process that runs the chain when it is told to, as a worker's processes do, and that may be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from lib.settings import PROJECT_ROOT

# Retries come at once: see the fixture `quick_retries`.
PROGRAM = """
import asyncio, json, os, sys
from flows import support, tasks
from flows.market import critical_path
support.RETRY_SECONDS = (0, 0)
for task in (tasks.sync_market_data, tasks.update_positions, tasks.check_stop_loss, tasks.send_notifications):
    task.retry_delay_seconds = 0
print("ready", flush=True)
for line in sys.stdin:
    os.environ.update(json.loads(line))
    state = asyncio.run(critical_path(return_state=True))
    print(state.state_details.flow_run_id, flush=True)
"""


@dataclass(frozen=True)
class FlowProcess:
    """The process; each chain is begun by `begin` and awaited by `finish`.

    Attributes:
        process: Its handle.
        stderr: What it writes there.
    """

    process: subprocess.Popen[str]
    stderr: Path

    def begin(self, **settings: str) -> None:
        """Begin a chain, with these changes to its environment from now on."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()

    def finish(self) -> UUID:
        """Wait for the end of the chain; return the flow run's id."""
        return UUID(self.read_line())

    def run(self, **settings: str) -> UUID:
        """Run a chain to its end."""
        self.begin(**settings)
        return self.finish()

    def read_line(self) -> str:
        """Return its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.stderr.read_text()
        return line

    def kill(self) -> None:
        """Send SIGKILL: nothing in the process can react."""
        self.process.kill()
        self.process.wait()

    def end(self) -> str:
        """Let it end in order, its logs sent; return what it wrote to stderr."""
        self.process.communicate()
        return self.stderr.read_text()


@contextmanager
def flow_process(env: dict[str, str], program: str = PROGRAM) -> Iterator[FlowProcess]:
    """Start a process that is ready to run chains, or another flow, in this environment."""
    with (
        tempfile.NamedTemporaryFile() as stderr,
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=env,
            cwd=PROJECT_ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        running = FlowProcess(process, Path(stderr.name))
        try:
            assert running.read_line() == "ready"
            yield running
        finally:
            process.kill()
