"""Switching strategies on and off by a person."""

from __future__ import annotations

from lib.errors import OperatorError
from lib.ports import Clock
from lib.results import Item, Status, TaskResult
from lib.strategy.history import ChangeLine, build_changes, render_changes
from lib.strategy.stores import StrategyState, StrategyStore

TASK = "set_strategy_state"


class SwitchResult(TaskResult):
    """The result of `set_strategy_state`.

    Attributes:
        changes: Every change that the strategy ever had, the newest first.
    """

    changes: tuple[ChangeLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of the changes."""
        return render_changes(self.changes)


def set_strategy_state(
    *, name: str, state: StrategyState, why: str, store: StrategyStore, clock: Clock
) -> SwitchResult:
    """Let a strategy give signals from the next run on, or none; the change is kept with its reason.

    Raises:
        OperatorError: There is no such strategy.
    """
    now = clock.now()
    known = [stored.name for stored in store.load_strategies()]
    if name not in known:
        raise OperatorError(
            f"Unknown strategy {name!r}. Expected one of {', '.join(known) or 'none: run signals first'}."
        )
    changed = store.change_state(name, state, why, now)
    item = Item(
        name=name,
        status=Status.OK if changed else Status.SKIPPED,
        detail=f"{state}: {why}" if changed else f"was {state} already",
    )
    return SwitchResult(
        task=TASK,
        status=item.status,
        counts={"strategies changed": int(changed)},
        items=(item,),
        started_at=now,
        finished_at=clock.now(),
        changes=build_changes(one for one in store.load_changes() if one.strategy == name),
    )
