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
        raised_at: Since when it holds, as far as people were told (a stop loss: in any case); None while it does not.
        alerted_at: When people were last told, though it passed since; None when that no longer keeps anyone from
            telling them, as after another limit was set or a real recovery.
        alerts: How often people were told; numbers the messages, so it never falls.
    """

    raised_at: datetime | None = None
    alerted_at: datetime | None = None
    alerts: int = 0

    def is_due(self, kind: AlarmKind, now: datetime, realert: timedelta) -> bool:
        """Tell whether people are to be told now that the condition holds.

        A stop loss or a stale price is told again every `realert`, a take profit once until the price has left it.
        None is told more often than that, but a stop loss after a real recovery. One that was told in the future, by a
        clock that was ahead, is due: nobody knows when that was.
        """
        if kind is AlarmKind.TAKE_PROFIT and self.raised_at is not None:
            return False
        return self.alerted_at is None or not -JITTER <= now - self.alerted_at < realert - JITTER

    def alert(self, now: datetime) -> Alarm:
        """The alarm after people were told."""
        return Alarm(min(self.raised_at or now, now), now, self.alerts + 1)

    def raise_quietly(self, now: datetime) -> Alarm:
        """The alarm when its condition holds again too soon to tell people."""
        return replace(self, raised_at=self.raised_at or now)

    def rest(self) -> Alarm:
        """The alarm when its condition has passed: armed, but not to be told again too soon."""
        return replace(self, raised_at=None)

    def rest_after_recovery(self, *, clear: bool) -> Alarm:
        """The alarm when its condition has passed: from a real recovery on, the next time is told at once.

        Args:
            clear: Whether the condition is far from holding; otherwise only the second check in a row that finds it
                passed is a recovery.
        """
        recovered = clear or self.raised_at is None
        return Alarm(None, None if recovered else self.alerted_at, self.alerts)
