"""Faults armed through the control API: what goes wrong, where, how often."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

# Kind -> its parameters with their defaults. The first value of a tuple is the default of a choice.
KINDS: Mapping[str, Mapping[str, Any]] = {
    "status": {"status": 503, "retry_after": None, "code": None, "message": None},
    "delay": {"seconds": 1.0},
    "timeout_before": {"seconds": 30.0},
    "timeout_after": {"seconds": 30.0},
    "drop_before": {},
    "drop_after": {},
    "timestamp": {},
    "unknown_before": {},
    "unknown_after": {},
    "body": {"variant": ("empty", "truncated", "html", "text")},
    "types": {"variant": ("numbers_as_text", "text_as_numbers", "nan", "infinity", "bare_nan")},
    "candles": {"variant": ("out_of_order", "duplicated", "misaligned", "future")},
    # What stays unfilled is left open and touched by no price for `hold_seconds`, or expires.
    "partial_fill": {"fraction": "0.5", "rest": ("open", "expired"), "hold_seconds": 60},
    # "NONE": the order is booked as REJECTED; any other reason is the text of a -2010 answer.
    "reject": {"reason": "NONE"},
}
MATCHING_KINDS = frozenset({"partial_fill", "reject"})  # taken by the matching of orders, not by requests


@dataclass(frozen=True)
class Fault:
    """One armed fault.

    Attributes:
        kind: One of `KINDS`.
        path: Pattern of request paths (`*` stands for anything).
        method: HTTP method, or "*".
        symbol: Only requests or orders of this symbol; None for all.
        count: How often it strikes; 0 until cleared.
        skip: How many matching requests or orders pass first.
        params: The kind's parameters, complete.
    """

    kind: str
    path: str = "/api/*"
    method: str = "*"
    symbol: str | None = None
    count: int = 1
    skip: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Complete the parameters and refuse what does not exist.

        Raises:
            ValueError: With the values that are allowed.
        """
        if self.kind not in KINDS:
            raise ValueError(f"Unknown fault {self.kind!r}. Expected one of {', '.join(KINDS)}.")
        known = KINDS[self.kind]
        if unknown := sorted(set(self.params) - set(known)):
            raise ValueError(
                f"Fault {self.kind!r} has no parameter {unknown[0]!r}. It has: {', '.join(known) or 'none'}."
            )
        if self.count < 0 or self.skip < 0:
            raise ValueError(f"Expected count and skip of 0 or more, were {self.count} and {self.skip}.")
        complete = {name: _choose(name, self.params, default) for name, default in known.items()}
        object.__setattr__(self, "params", complete)


def _choose(name: str, given: Mapping[str, Any], default: Any) -> Any:
    if not isinstance(default, tuple):
        return given.get(name, default)
    value = given.get(name, default[0])
    if value not in default:
        raise ValueError(f"Expected {name} to be one of {', '.join(default)}, was {value!r}.")
    return value


@dataclass
class _Armed:
    number: int
    fault: Fault
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        """Count one match and tell whether the fault strikes now."""
        self.seen += 1
        if self.seen <= self.fault.skip:
            return False
        self.struck += 1
        return True

    @property
    def spent(self) -> bool:
        return 0 < self.fault.count <= self.struck


class Faults:
    """The armed faults, oldest first; at most one strikes a request or an order."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._numbers = itertools.count(1)

    @property
    def is_armed(self) -> bool:
        """Whether any fault is armed."""
        return bool(self._armed)

    def arm(self, fault: Fault) -> int:
        """Arm a fault and return its number."""
        armed = _Armed(next(self._numbers), fault)
        self._armed.append(armed)
        return armed.number

    def clear(self) -> int:
        """Disarm everything and return how many were armed."""
        count = len(self._armed)
        self._armed.clear()
        return count

    def listing(self) -> list[dict[str, Any]]:
        """Return what is armed, with how often each has struck."""
        return [
            {
                "number": armed.number,
                "kind": armed.fault.kind,
                "path": armed.fault.path,
                "method": armed.fault.method,
                "symbol": armed.fault.symbol,
                "count": armed.fault.count,
                "skip": armed.fault.skip,
                "struck": armed.struck,
                "params": dict(armed.fault.params),
            }
            for armed in self._armed
        ]

    def take(self, kind: str, symbol: str) -> Fault | None:
        """Return the fault that strikes an order of `symbol` now, if one of `kind` is armed."""
        return self._take(lambda fault: fault.kind == kind and fault.symbol in (None, symbol))

    def take_for_request(self, method: str, path: str, symbol: str | None) -> Fault | None:
        """Return the fault that strikes a request now, if any."""

        def matches(fault: Fault) -> bool:
            return (
                fault.kind not in MATCHING_KINDS
                and fnmatchcase(path, fault.path)
                and fault.method in ("*", method)
                and fault.symbol in (None, symbol)
            )

        return self._take(matches)

    def _take(self, matches: Callable[[Fault], bool]) -> Fault | None:
        for armed in self._armed:
            if matches(armed.fault) and armed.strikes():
                if armed.spent:
                    self._armed.remove(armed)
                return armed.fault
        return None
