"""What the orchestrator's history says of a period, as plain records: `flows` reads it, reports show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

MILD = ("Partial", "Skipped", "Cancelled")
"""States of runs that did not fail: some items did, or the run came too late, or somebody ended it."""


@dataclass(frozen=True)
class TroubledRun:
    """A flow run that did not end as it should.

    Attributes:
        flow: "critical-path".
        at: When it was due, UTC.
        state: "Failed", "Crashed", "TimedOut", or one of `MILD`.
        message: Why.
    """

    flow: str
    at: datetime
    state: str
    message: str


@dataclass(frozen=True)
class RunHistory:
    """The runs of a period.

    Attributes:
        runs: How many ended.
        troubled: Those that did not end as they should, newest first.
        untold: How many more of these there are than are listed.
        error: Why the history could not be read; the numbers are then of no use.
    """

    runs: int = 0
    troubled: tuple[TroubledRun, ...] = ()
    untold: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Trouble:
    """The troubled runs of one flow and state.

    Attributes:
        last: The newest of them.
        count: How many.
    """

    last: TroubledRun
    count: int


def group_troubles(troubled: Sequence[TroubledRun]) -> list[Trouble]:
    """Return troubles by flow and state, what failed first, then the most frequent."""
    groups: dict[tuple[str, str], Trouble] = {}
    for run in sorted(troubled, key=lambda run: run.at, reverse=True):
        key = run.flow, run.state
        group = groups.get(key)
        groups[key] = replace(group, count=group.count + 1) if group else Trouble(run, 1)
    return sorted(groups.values(), key=lambda one: (one.last.state in MILD, -one.count, one.last.flow))
