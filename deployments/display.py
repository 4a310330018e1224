"""What the stack shows in the terminal: each step, notes, and the summary."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from deployments.prefect_api import ScheduledDeployment


@dataclass
class Step:
    """A step that is being taken; `detail` is shown when it is done."""

    detail: str = ""


class Display:
    """Writes to a terminal, or plain lines where there is none."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Show a step while it is taken, then its detail and how long it took."""
        taken, began = Step(), time.monotonic()
        with self.console.status(f"{what} …"):
            try:
                yield taken
            except BaseException:
                self.console.print(f"[red]✗[/red] {what}")
                raise
        seconds = time.monotonic() - began
        told = f"{taken.detail} ({seconds:.1f} s)".lstrip()
        self.console.print(f"[green]✓[/green] {what}  [dim]{escape(told)}[/dim]")

    def heading(self, text: str) -> None:
        """Show where something new begins."""
        self.console.print()
        self.console.rule(f"[bold]{escape(text)}[/bold]", align="left")

    def note(self, text: str) -> None:
        """Show something people may want to know."""
        self.console.print(f"[cyan]•[/cyan] {escape(text)}")

    def warn(self, text: str) -> None:
        """Show something people should know, with the time of day."""
        self.console.print(f"[yellow]![/yellow] {datetime.now(UTC):%H:%M:%S} {escape(text)}")

    def fail(self, text: str) -> None:
        """Show why it cannot go on."""
        self.console.print(f"[red]✗ {escape(text)}[/red]")

    def crash(self, what: str, log: Path, lines: Sequence[str]) -> None:
        """Show that a program ended by itself, with the end of its log."""
        self.warn(what)
        if lines:
            self.console.print(Panel(escape("\n".join(lines)), title=escape(str(log)), title_align="left", style="dim"))


def render_deployments(deployments: Sequence[ScheduledDeployment], now: datetime) -> Table:
    """Return the deployments with their next and last runs."""
    table = Table(title="Deployments", title_justify="left", box=None, pad_edge=False)
    table.add_column("deployment", no_wrap=True)
    table.add_column("next run", no_wrap=True)
    table.add_column("last run")
    for deployment in deployments:
        table.add_row(
            deployment.name,
            _render_next(deployment, now),
            f"{deployment.last_state}: {deployment.last_run}" if deployment.last_state else "-",
        )
    return table


def _render_next(deployment: ScheduledDeployment, now: datetime) -> str:
    if deployment.next_at is None:
        return "soon" if deployment.is_scheduled else "by hand"
    left = max(timedelta(), timedelta(seconds=round((deployment.next_at - now).total_seconds())))
    return f"{deployment.next_at:%a %H:%M:%S} UTC, in {left}"


def render_facts(facts: Sequence[tuple[str, str]]) -> Table:
    """Return name and value pairs, one a line."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(f"[bold]{escape(name)}[/bold]", escape(value))
    return table
