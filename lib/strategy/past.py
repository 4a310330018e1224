"""Strategies as they were at an instant: who gave signals, with which parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from lib.errors import StrategyRefused
from lib.strategy.roster import Enrolled
from lib.strategy.stores import StrategyChange, StrategyState
from lib.strategy.strategy import Strategy

RACE = timedelta(minutes=2)  # a run reads the strategies a little after the instant that its signals carry


@dataclass(frozen=True)
class Past:
    """Every change of every strategy, and all parameters that one ever had.

    Attributes:
        changes: Those of each strategy in their order.
        parameters: By name and version.
        code: The strategies there are now, by name.
    """

    changes: Sequence[StrategyChange]
    parameters: Mapping[tuple[str, int], Mapping[str, Any]]
    code: Mapping[str, type[Strategy]]

    @property
    def names(self) -> tuple[str, ...]:
        """Every strategy that there ever was."""
        return tuple(dict.fromkeys(change.strategy for change in self.changes))

    def find(self, name: str, at: datetime) -> StrategyChange | None:
        """Return what a strategy was then; None before it was registered."""
        found = [change for change in self.changes if change.strategy == name and change.changed_at <= at]
        return found[-1] if found else None

    def find_version(self, name: str, at: datetime) -> int | None:
        """Return which parameters a strategy gave signals with then; None when it gave none."""
        was = self.find(name, at)
        return None if was is None or was.state is StrategyState.DISABLED else was.version

    def may_have_used(self, name: str, version: int, at: datetime) -> bool:
        """Whether a run that began then may have given signals with these parameters."""
        changed = (change.changed_at for change in self.changes if change.strategy == name)
        instants: Iterable[datetime] = (at, *(one for one in changed if at < one <= at + RACE))
        return any(self.find_version(name, one) == version for one in instants)

    def enroll(self, name: str, version: int) -> Enrolled:
        """Return a strategy with parameters that it had.

        Raises:
            StrategyRefused: Its code is gone, or does not fit the parameters any more.
        """
        if name not in self.code:
            raise StrategyRefused(f"The code of {name} is gone. Bring it back to lib/strategy/registry.py.")
        try:
            strategy = self.code[name].model_validate(self.parameters[name, version])
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise StrategyRefused(
                f"Version {version} of the parameters of {name} does not fit its code any more ({problems}). "
                "Nothing can be done about its old signals."
            ) from None
        return Enrolled(strategy, version, self.changes[0].changed_at)
