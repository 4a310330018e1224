"""The alarm of HIGH risk: when people are told, told again, and told that it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from lib.risk.rules import Cause

JITTER = timedelta(seconds=30)  # a run may come some seconds sooner after the last one than its interval


class AlarmStep(StrEnum):
    """What people are to be told now."""

    RAISE = "raise"
    WORSEN = "worsen"
    REPEAT = "repeat"
    END = "end"


@dataclass(frozen=True)
class RiskAlarm:
    """What people were told about an account's risk.

    Attributes:
        raised_at: When they were told that it is HIGH; None when they were not, or told that it is over.
        alerted_at: When they were last told anything.
        told: What they were told makes it HIGH, and still does or almost does.
        alerts: How often they were told anything; numbers the messages, so it never falls.
    """

    raised_at: datetime | None = None
    alerted_at: datetime | None = None
    told: frozenset[Cause] = frozenset()
    alerts: int = 0

    def find_step(
        self, causes: frozenset[Cause], *, is_over: bool, now: datetime, realert: timedelta
    ) -> AlarmStep | None:
        """Return what is due, if anything.

        HIGH is told when it begins, when something else makes it HIGH too, and again after `realert` while it stays.
        One that was told in the future, by a clock that was ahead, is told again: nobody knows when that was.

        Args:
            causes: What makes it HIGH now.
            is_over: Whether it is safely below HIGH.
            now: UTC.
            realert: Time between two messages that say the same.
        """
        if self.raised_at is None:
            return AlarmStep.RAISE if causes else None
        if not causes:
            return AlarmStep.END if is_over else None
        if causes - self.told:
            return AlarmStep.WORSEN
        told_lately = self.alerted_at is not None and -JITTER <= now - self.alerted_at < realert - JITTER
        return None if told_lately else AlarmStep.REPEAT

    def keep(self, standing: frozenset[Cause]) -> RiskAlarm:
        """Return the alarm without what is safely below HIGH: should that come back, it is told again.

        Args:
            standing: What makes it HIGH at the limits below which an alarm ends.
        """
        return replace(self, told=self.told & standing)

    def take(self, step: AlarmStep, causes: frozenset[Cause], now: datetime) -> RiskAlarm:
        """Return the alarm after people were told."""
        told = replace(self, alerted_at=now, alerts=self.alerts + 1)
        if step is AlarmStep.END:
            return replace(told, raised_at=None, told=frozenset())
        return replace(told, raised_at=min(self.raised_at or now, now), told=self.told | causes)
