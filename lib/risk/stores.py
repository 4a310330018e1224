"""What risk keeps in the database."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lib.notifications.messages import Message
from lib.portfolio.state import AccountState
from lib.risk.alarm import RiskAlarm
from lib.risk.measures import RiskMeasures
from lib.risk.rules import RiskAssessment, RiskLimits


@dataclass(frozen=True)
class RiskSnapshot:
    """An account's risk at an instant.

    Attributes:
        at: When it was analyzed, UTC.
        state: What it was analyzed of.
        assessment: What the rules say.
        limits: The rules' limits.
        measures: Value at risk, correlation, drawdown.
        alarm: What people were told, this time included.
    """

    at: datetime
    state: AccountState
    assessment: RiskAssessment
    limits: RiskLimits
    measures: RiskMeasures
    alarm: RiskAlarm


class RiskBook(Protocol):
    """One account's risk, locked for one writer within one transaction.

    Message, alarm and snapshot are stored together or not at all. So a process that is killed in between leaves
    nothing behind, and the next one tells people exactly once.
    """

    def load_alarm(self) -> RiskAlarm:
        """Return what people were told so far."""
        ...

    def record(self, message: Message) -> bool:
        """Keep the message for delivery; False when one with its deduplication key was recorded before."""
        ...

    def save(self, snapshot: RiskSnapshot) -> None:
        """Store the snapshot, in place of one of the same instant, and its alarm."""
        ...


class RiskStore(Protocol):
    """Risk snapshots and alarms of accounts."""

    def open_risk(self, account: str) -> AbstractContextManager[RiskBook]:
        """Begin a transaction as the only writer of the account's risk; an error that leaves it undoes everything.

        Raises:
            DatabaseUnavailable: Nothing was stored; trying again is safe.
        """
        ...
