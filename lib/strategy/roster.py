"""Which strategies give signals: those of the code, as the database has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from lib.results import Item, Status
from lib.strategy.registry import STRATEGIES, calc_code_version
from lib.strategy.stores import Registration, StoredStrategy, StrategyState, StrategyStore
from lib.strategy.strategy import Strategy


@dataclass(frozen=True)
class Enrolled:
    """A strategy that gives signals.

    Attributes:
        strategy: With the parameters in force.
        version: Of those.
        since: When a person enabled it, or it was registered.
    """

    strategy: Strategy
    version: int
    since: datetime


@dataclass(frozen=True)
class Roster:
    """The strategies that give signals, and what is to be said of the others.

    Attributes:
        enrolled: By name.
        items: Strategies that cannot be used, and a warning when none gives signals.
        disabled: Strategies that are to say nothing, and since when.
    """

    enrolled: Mapping[str, Enrolled]
    items: tuple[Item, ...]
    disabled: tuple[Item, ...]


def load_roster(store: StrategyStore, now: datetime, code: Mapping[str, type[Strategy]] = STRATEGIES) -> Roster:
    """Register strategies that are new in the code, and return those that are active or pinned.

    There is no default: when none is active, none gives signals, and an item says so.

    Args:
        store: Where strategies are.
        now: UTC.
        code: The strategies there are, by name.
    """
    register_strategies(store, now, code)
    enrolled: dict[str, Enrolled] = {}
    items, disabled = [], []
    for stored in store.load_strategies():
        if stored.state is StrategyState.DISABLED:
            detail = f"disabled since {stored.changed_at:%Y-%m-%d %H:%M} UTC: {stored.why}"
            disabled.append(Item(name=stored.name, status=Status.SKIPPED, detail=detail))
        elif (refusal := _find_refusal(stored, code)) is not None:
            items.append(Item(name=stored.name, status=Status.FAILED, detail=refusal))
        else:
            strategy = code[stored.name].model_validate(stored.parameters)
            enrolled[stored.name] = Enrolled(strategy, stored.version, stored.changed_at)
    if not enrolled:
        detail = "no strategy is active, so every symbol is HOLD; none steps in by itself: enable one"
        items.append(Item(name="strategies", status=Status.PARTIAL, detail=detail))
    return Roster(enrolled, tuple(items), tuple(disabled))


def register_strategies(
    store: StrategyStore, now: datetime, code: Mapping[str, type[Strategy]] = STRATEGIES
) -> tuple[str, ...]:
    """Store the strategies that never were as active with their defaults; return their names."""
    return tuple(
        store.register(
            [
                Registration(name, strategy().model_dump(mode="json"), calc_code_version(strategy))
                for name, strategy in code.items()
            ],
            now,
        )
    )


def _find_refusal(stored: StoredStrategy, code: Mapping[str, type[Strategy]]) -> str | None:
    if stored.name not in code:
        return "it is active, and its code is gone: bring it back to lib/strategy/registry.py, or disable it"
    try:
        code[stored.name].model_validate(stored.parameters)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return f"version {stored.version} of its parameters does not fit its code ({problems}): give it others"
    return None
