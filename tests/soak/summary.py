"""What a soak saw, as tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.soak.log import Log
from tests.soak.soak import Plan


def show_summary(console: Console, log: Log, plan: Plan, seconds: float) -> None:
    """Show tasks, what was done to the platform, what it has in the end, and every breach."""
    tasks = Table("task", "ok", "partial", "skipped", "failed", "seconds", title="Tasks")
    for task, counts in sorted(log.outcomes.items()):
        numbers = (str(counts[status]) for status in ("ok", "partial", "skipped", "failed"))
        tasks.add_row(task, *numbers, f"{log.seconds[task]:.0f}")
    events = Table("what", "times", title="What happened")
    for what, count in sorted(log.events.items()):
        events.add_row(what, f"{count:,}")
    for what, count in sorted(log.errors.items()):
        events.add_row(f"error of {what}", f"{count:,}")
    tables = Table("table", "rows", title="Tables")
    for name, rows in sorted(log.tables.items()):
        tables.add_row(name, f"{rows:,}")
    console.print(tasks, events, tables)
    memory = f"{log.memory[0]:.0f} to {log.memory[-1]:.0f} MB" if log.memory else "not measured"
    console.print(f"Memory of the platform's process by day: {memory}")
    for breach in log.breaches:
        console.print(f"[red]BREACH[/red] {breach}", highlight=False)
    verdict = f"{len(log.breaches)} breaches" if log.breaches else "all as it must be"
    console.print(f"{plan.days:g} days in {seconds / 60:.1f} minutes, seed {plan.seed}: {verdict}")
