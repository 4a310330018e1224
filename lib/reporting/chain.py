"""The artifact of one chain: what each task did, as a person would look for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from lib.results import Item, Status, TaskResult, name_failed, render_count

MARKS = {Status.OK: "✅", Status.PARTIAL: "⚠️", Status.SKIPPED: "⏭️", Status.FAILED: "❌"}
MAX_ROWS = 50
MOST_NAMES = 4  # in a row of skipped items; more are counted


@dataclass(frozen=True)
class Outcome:
    """How one task of a chain ended: with a result, or with an error's text.

    Attributes:
        task: The task's name.
        result: What it returned; None when it failed.
        error: Why it failed; None when it returned.
    """

    task: str
    result: TaskResult | None = None
    error: str | None = None

    @property
    def status(self) -> Status:
        """The result's status, or `failed`."""
        return self.result.status if self.result else Status.FAILED

    @property
    def line(self) -> str:
        """One line for people."""
        return self.result.summary if self.result else f"failed: {self.error}"


def calc_chain_status(outcomes: Sequence[Outcome]) -> Status:
    """Return `failed` when any task failed, else `partial` when any was, else `ok`."""
    statuses = {outcome.status for outcome in outcomes}
    for status in (Status.FAILED, Status.PARTIAL):
        if status in statuses:
            return status
    return Status.OK


def render_headline(outcomes: Sequence[Outcome]) -> str:
    """Render what the chain did for a run's name: ``40 candles, 4 positions, 1 triggered, 1 failed (SOL/USDT 1h)``."""
    words = [
        render_count(count, name)
        for outcome in outcomes
        if outcome.result
        for name, count in outcome.result.counts.items()
        if count
    ]
    if items := [item for outcome in outcomes if outcome.result for item in outcome.result.failed]:
        words.append(name_failed(items))
    failed = [outcome.task for outcome in outcomes if outcome.status is Status.FAILED]
    if failed:
        words.append(f"failed: {', '.join(failed)}")
    return ", ".join(words) or "nothing to do"


def render_chain(outcomes: Sequence[Outcome]) -> str:
    """Render a chain as Markdown: one line a task, then a section a task with its tables and items."""
    parts = [
        tabulate(
            [(MARKS[outcome.status], outcome.task, outcome.line) for outcome in outcomes],
            headers=("", "task", "what it did"),
            tablefmt="pipe",
        )
    ]
    for outcome in outcomes:
        if outcome.result:
            parts.extend(_render_section(outcome.result))
    return "\n\n".join(parts)


def _render_section(result: TaskResult) -> list[str]:
    """Tables, then items: failed ones first and each by itself; the others by what is said."""
    failed = [(MARKS[item.status], item.name, item.detail) for item in result.failed[:MAX_ROWS]]
    told = [item for item in result.items if item.status in (Status.OK, Status.PARTIAL) and item.detail]
    skipped = [item for item in result.items if item.status is Status.SKIPPED]
    rows = [*failed, *_group(told)[:MAX_ROWS], *_group(skipped)]
    parts = result.render_tables()
    if rows:
        parts.append(tabulate(rows, headers=("", "item", "detail"), tablefmt="pipe", disable_numparse=True))
    return [f"### {result.task}", *parts] if parts else []


def _group(items: Sequence[Item]) -> list[tuple[str, str, str]]:
    by_word: dict[tuple[Status, str], list[str]] = {}
    for item in items:
        by_word.setdefault((item.status, item.detail), []).append(item.name)
    return [
        (MARKS[status], ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} items", detail)
        for (status, detail), names in by_word.items()
    ]
