"""Compiling the kernels of indicators and backtests beside the first runs: who needs them first would wait for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from deployments import environment
from deployments.processes import Child, last_lines
from deployments.stack import Stack

WARM = (sys.executable, "-m", "lib.research.warm")
LAST_IN_LINE = 19  # the nice value that leaves the processor to everyone else, the first critical path among them


class Warming:
    """One background process; `follow` is to be called every second or so, until and after it is over."""

    def __init__(self, stack: Stack, command: Sequence[str] = WARM) -> None:
        log = stack.folder / "logs" / "warm.log"
        self._child = Child("warm", command, environment.worker_environment(stack.environment), log)
        self._display = stack.display
        self._began = 0.0

    def start(self) -> None:
        """Start it. What it compiles is kept on disk, so that it is quick at the next start."""
        self._child.log.unlink(missing_ok=True)
        self._began = time.monotonic()
        self._child.start()
        if self._child.process is not None:
            self._child.process.nice(LAST_IN_LINE)
        self._display.note("Compiling indicators and backtests in the background …")

    def follow(self) -> None:
        """Say once how it ended. A failure is no reason to stop: runs that need the kernels compile them themselves."""
        code = self._child.exit_code
        if code is None:
            return
        if code == 0:
            self._display.note(f"Indicators and backtests are compiled ({time.monotonic() - self._began:.1f} s).")
        else:
            self._display.crash(
                f"Indicators and backtests could not be compiled ahead (code {code}); runs that need them take longer.",
                self._child.log,
                last_lines(self._child.log),
            )
        self.stop()

    def stop(self) -> None:
        """End it, wherever it is."""
        self._child.stop(1)
