"""Periods: whole UTC days that end with the last one that counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

DAY = timedelta(days=1)
COUNTS_FROM = timedelta(hours=22)
"""From when on a day counts before it is over: the evening's run is about the day that it ends."""


@dataclass(frozen=True)
class Period:
    """Some UTC days in a row.

    Attributes:
        last_day: The last of them.
        days: How many.
    """

    last_day: date
    days: int

    @property
    def start(self) -> datetime:
        """When the first day begins."""
        return self.end - self.days * DAY

    @property
    def end(self) -> datetime:
        """When the last day ends; exclusive."""
        return datetime(self.last_day.year, self.last_day.month, self.last_day.day, tzinfo=UTC) + DAY

    @property
    def previous(self) -> Period:
        """As many days right before."""
        return Period(self.last_day - self.days * DAY, self.days)

    @property
    def words(self) -> str:
        """``2026-11-16 to 2026-11-22``, or the day alone."""
        return f"{self.last_day}" if self.days == 1 else f"{self.start:%Y-%m-%d} to {self.last_day}"


def find_period(now: datetime, days: int) -> Period:
    """Return the last so many UTC days; the present one is among them from 22:00 on.

    On Monday at 08:00, seven days are Monday to Sunday of the week that has ended.
    """
    return Period((now - COUNTS_FROM).astimezone(UTC).date(), days)
