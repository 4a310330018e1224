"""Every change of a strategy, as people read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.strategy.stores import StrategyChange, StrategyState

MAX_ROWS = 50


class ChangeLine(BaseModel):
    """What a strategy was from an instant (UTC) on, and why."""

    model_config = ConfigDict(frozen=True)

    changed_at: datetime
    strategy: str
    state: StrategyState
    version: int
    why: str


def build_changes(changes: Iterable[StrategyChange]) -> tuple[ChangeLine, ...]:
    """Return a line for each change, the newest first."""
    newest = sorted(changes, key=lambda one: (one.changed_at, one.revision), reverse=True)
    return tuple(
        ChangeLine(changed_at=one.changed_at, strategy=one.strategy, state=one.state, version=one.version, why=one.why)
        for one in newest
    )


def render_changes(lines: Sequence[ChangeLine]) -> list[str]:
    """Return a Markdown table of the newest changes; none where there are none."""
    if not lines:
        return []
    rows = [
        (f"{one.changed_at:%Y-%m-%d %H:%M}", one.strategy, one.state.value, one.version, one.why)
        for one in lines[:MAX_ROWS]
    ]
    heads = ("since (UTC)", "strategy", "state", "parameters", "why")
    table = tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)
    more = len(lines) - MAX_ROWS
    return [f"{table}\n\nAnd {more} earlier ones." if more > 0 else table]
