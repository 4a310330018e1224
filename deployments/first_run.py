"""The run that a stack begins with: the first one ever backfills the history, and people want to see it move."""

from __future__ import annotations

from contextlib import suppress

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from deployments.display import Display
from deployments.prefect_api import PrefectApi, ServerSilent
from deployments.specification import TAG

FIRST = "critical-path/every-5-minutes"


class FirstRun:
    """Starts a run of the critical path, so that nobody waits for the next full five minutes, and follows it."""

    def __init__(self, api: PrefectApi, display: Display) -> None:
        self._api = api
        self._display = display
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=display.console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=100, visible=False)
        self._run_id: str | None = None

    def start(self) -> None:
        """Ask for the run; where the server does not take it, the schedule does it later."""
        with suppress(ServerSilent):
            self._start()

    def _start(self) -> None:
        deployments = {deployment.name: deployment.id for deployment in self._api.load_deployments(TAG)}
        self._run_id = self._api.start_run(deployments[FIRST])

    def follow(self) -> None:
        """Show how far it is; to be called every second or so, until and after it is over."""
        if self._run_id is None:
            return
        try:
            run, progress = self._api.load_run(self._run_id), self._api.load_progress(self._run_id)
        except ServerSilent:
            return  # the watch over the server reports it
        if progress and not run.is_over and self._display.console.is_terminal:
            self._bar.start()
            self._bar.update(self._task, completed=progress.percent, description=progress.text, visible=True)
        if run.is_over:
            self.stop()
            show = self._display.note if run.state == "Completed" else self._display.warn
            show(f"First run: {run.state}: {run.name}" + (f": {run.message}" if run.message not in run.name else ""))

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar.live.is_started:
            self._bar.stop()
        self._run_id = None
