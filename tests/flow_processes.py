"""A process that runs the chain when it is told to, as a worker's processes do, and that may be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
        process: Its handle; what it wrote to stderr is there once it has ended.
    """

    process: subprocess.Popen[str]

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
        assert line, self.process.communicate()[1]
        return line

    def kill(self) -> None:
        """Send SIGKILL: nothing in the process can react."""
        self.process.kill()
        self.process.wait()

    def end(self) -> str:
        """Let it end in order, its logs sent; return what it wrote to stderr."""
        return self.process.communicate()[1]


@contextmanager
def flow_process(env: dict[str, str]) -> Iterator[FlowProcess]:
    """Start a process that is ready to run chains in this environment."""
    command = [sys.executable, "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, cwd=PROJECT_ROOT, text=True, **pipes) as process:
        running = FlowProcess(process)
        try:
            assert running.read_line() == "ready"
            yield running
        finally:
            process.kill()
