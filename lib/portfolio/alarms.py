"""Alarms of a position: when people are told, and when they are told again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

JITTER = timedelta(seconds=30)  # a run may come some seconds sooner after the last one than its interval


class AlarmKind(StrEnum):
    """What a position can alarm about."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    STALE_PRICE = "stale_price"


@dataclass(frozen=True)
class Alarm:
    """What people were told of one kind about one position.

    Attributes:
        raised_at: When people were first told that it holds; None while it is armed.
        alerted_at: When people were last told, though it passed since; None when not since its limit was set.
        alerts: How often people were told; numbers the messages, so it never falls.
    """

    raised_at: datetime | None = None
    alerted_at: datetime | None = None
    alerts: int = 0

    def is_due(self, kind: AlarmKind, now: datetime, realert: timedelta) -> bool:
        """Tell whether people are to be told now that the condition holds.

        A stop loss or a stale price is told again every `realert`, a take profit once until the price has left it.
        None is told more often than that, however the price flaps. One that was told in the future, by a clock that was
        ahead, is due: nobody knows when that was.
        """
        if kind is AlarmKind.TAKE_PROFIT and self.raised_at is not None:
            return False
        return self.alerted_at is None or not -JITTER <= now - self.alerted_at < realert - JITTER

    def alert(self, now: datetime) -> Alarm:
        """The alarm after people were told."""
        return Alarm(min(self.raised_at or now, now), now, self.alerts + 1)

    def rest(self) -> Alarm:
        """The alarm when its condition has passed: armed, but not to be told again too soon."""
        return replace(self, raised_at=None)
