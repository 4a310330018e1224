"""What a demonstration expects, and whether it holds: shown at once, counted for the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Expectations:
    """Every expectation so far; `failed` names those that did not hold."""

    def __init__(self, console: Console) -> None:
        self.failed: list[str] = []
        self._console = console
        self._count = 0

    def expect(self, what: str, numbers: str, *, holds: bool) -> None:
        """Note and show an expectation with the numbers that decide it."""
        self._count += 1
        mark = "[green]✓[/green]" if holds else "[red]✗[/red]"
        if not holds:
            self.failed.append(what)
        line = Table.grid(padding=(0, 1))
        line.add_row(" ", mark, f"{escape(what)}  [dim]{escape(numbers)}[/dim]")
        self._console.print(line)

    def show_verdict(self) -> None:
        """Show how many hold, and which do not."""
        held = self._count - len(self.failed)
        if not self.failed:
            self._console.print(f"[bold green]✓ All {self._count} expectations hold.[/bold green]")
            return
        self._console.print(f"[bold red]✗ {held} of {self._count} expectations hold. These do not:[/bold red]")
        for what in self.failed:
            self._console.print(f"  [red]✗[/red] {escape(what)}")
