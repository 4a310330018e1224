"""What can wait: quiet hours, and how long a channel collects messages before it gets them as one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FORM = re.compile(r"(\d\d:\d\d)\s*-\s*(\d\d:\d\d)(?:\s+(\S+))?")


@dataclass(frozen=True)
class QuietHours:
    """A time of every day, by the clocks of a place; `start` may be later than `end`, across midnight."""

    start: time
    end: time
    zone: tzinfo = UTC

    def find_end(self, at: datetime) -> datetime | None:
        """Return the UTC instant at which the quiet hours that `at` lies in end; None when it lies in none."""
        local = at.astimezone(self.zone)
        clock = local.time()
        begun, over = clock >= self.start, clock >= self.end
        if not (begun and not over if self.start < self.end else begun or not over):
            return None
        day = local.date() + timedelta(days=1) if over else local.date()
        return datetime.combine(day, self.end, self.zone).replace(fold=local.fold).astimezone(UTC)


def parse_quiet_hours(text: str) -> QuietHours:
    """Read ``22:00-07:00`` (UTC) or ``22:00-07:00 Europe/Berlin``.

    Raises:
        ValueError: When it says no time of the day, or names no time zone.
    """
    wanted = 'expected quiet hours as "22:00-07:00" (UTC) or "22:00-07:00 Europe/Berlin"'
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(wanted)
    try:
        start, end = (time.fromisoformat(one) for one in found.groups()[:2])
        zone = ZoneInfo(found[3]) if found[3] else UTC
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:  # OSError: a name that is a folder
        raise ValueError(f"{wanted}; there is no such time or time zone") from error
    if start == end:
        raise ValueError(f"{wanted}; begin and end are the same")
    return QuietHours(start, end, zone)


@dataclass(frozen=True)
class Holding:
    """When a channel takes messages that can wait; those of severity info can, warnings and urgent ones cannot.

    Attributes:
        quiet: It takes none then.
        collect: It takes them together, so long after the first of them.
    """

    quiet: QuietHours | None = None
    collect: timedelta = timedelta()

    def holds(self, now: datetime) -> bool:
        """Tell whether what comes now waits."""
        return self.find_due(now, now) > now

    def find_due(self, since: datetime, now: datetime) -> datetime:
        """Return when what waits since then is due: not before it was collected, and in no quiet hours."""
        due = since + self.collect
        moment = max(due, now)
        return (self.quiet and self.quiet.find_end(moment)) or due


AT_ONCE = Holding()


@dataclass(frozen=True)
class Held:
    """What a channel is to get later, together.

    Attributes:
        count: Messages.
        since: From when on the first of them waits.
    """

    count: int
    since: datetime
