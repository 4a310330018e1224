"""The trading halt: who stopped all orders, when and why, as the switch's value says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

VARIABLE = "trading_halted"  # of the Prefect server; there is no such variable while trading is free
# What the Prefect server is told the switch says, as events: a change of a variable is none.
SWITCH = "fks.trading"
HALTED_EVENT = "fks.trading.halted"
FREE_EVENT = "fks.trading.free"
FREE = frozenset({"", "false", "no", "off", "0"})


@dataclass(frozen=True)
class Halt:
    """Why nothing is ordered now.

    Attributes:
        reason: In a person's words.
        who: Their name; empty where the switch was set in the Prefect UI, which does not say.
        at: Since when, UTC; None where the switch does not say.
    """

    reason: str
    who: str = ""
    at: datetime | None = None

    def to_value(self) -> dict[str, str]:
        """Return what the switch keeps."""
        return {"reason": self.reason, "who": self.who, "at": self.at.isoformat(timespec="seconds") if self.at else ""}

    def describe(self) -> str:
        """Render ``prices look wrong (anna, 2026-03-02 09:15 UTC)``."""
        known = [self.who, f"{self.at:%Y-%m-%d %H:%M} UTC" if self.at else ""]
        told = ", ".join(words for words in known if words)
        return f"{self.reason} ({told})" if told else self.reason


def parse_halt(value: Any, changed_at: datetime | None = None) -> Halt | None:
    """Return the halt that a value of the switch says, or None.

    Any value halts but an empty one, false, no, off and 0: a person may set it in the Prefect UI, to whatever.

    Args:
        value: JSON; None where there is no switch.
        changed_at: When the switch was last changed, for a value that does not say it.
    """
    if isinstance(value, str) and value.strip().lower() in FREE:
        return None
    if not value:
        return None
    if not isinstance(value, Mapping):
        return Halt(str(value), at=changed_at)
    reason = str(value.get("reason") or "").strip() or str(dict(value))
    return Halt(reason, str(value.get("who") or ""), _to_instant(value.get("at")) or changed_at)


def _to_instant(words: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(words))
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None
