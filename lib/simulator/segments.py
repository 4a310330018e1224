"""What scenarios do to a path: from an instant on it is scaled, drifts or stands still."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.simulator.arrays import Floats, Integers
from lib.simulator.intervals import MINUTE_MS


@dataclass(frozen=True)
class Segment:
    """A stretch of a symbol's path, until the next segment starts.

    Attributes:
        start_ms: First instant.
        price: Price at that instant, in units of 1e-8; 0 only for the undisturbed path before all segments.
        base: Undisturbed price at that instant, in quote.
        flat: The price stands still.
        change: Further drift as a fraction (-0.4 for minus 40 %), spread evenly over `duration_ms`, then kept.
        duration_ms: How long the drift takes.
    """

    start_ms: int
    price: int
    base: float
    flat: bool = False
    change: float = 0.0
    duration_ms: int = 0

    def factor(self, minute_ms: int) -> float:
        """Return what the undisturbed price is multiplied with during the minute that opens at `minute_ms`.

        It is constant within a minute, so that a candle's extremes stay extremes.
        """
        return float(self.factors(np.array([minute_ms]))[0])

    def factors(self, minutes_ms: Integers) -> Floats:
        """Return `factor` for each minute, shape `(n,)`."""
        if self.price == 0:
            return np.ones(len(minutes_ms))
        scale = self.price / 1e8 / self.base
        if self.change == 0.0:
            return np.full(len(minutes_ms), scale)
        elapsed = np.clip(minutes_ms - self.start_ms, 0, self.duration_ms)
        return scale * (1 + self.change * (elapsed / self.duration_ms))

    def to_record(self) -> dict[str, Any]:
        """Return the segment as it is kept on disk."""
        return {
            "start_ms": self.start_ms,
            "price": self.price,
            "base": self.base,
            "flat": self.flat,
            "change": self.change,
            "duration_ms": self.duration_ms,
        }


UNDISTURBED = Segment(start_ms=-(2**62), price=0, base=1.0)


class Segments:
    """The segments of one symbol, rising in time; the first is the undisturbed path."""

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self._segments = [UNDISTURBED, *segments]
        self._starts = [segment.start_ms for segment in self._segments]

    def add(self, segment: Segment) -> None:
        """Add the newest segment; one that starts at the same instant replaces its predecessor.

        Raises:
            ValueError: When it starts before the newest one.
        """
        if segment.start_ms < self._starts[-1]:
            raise ValueError(f"Expected a start at or after {self._starts[-1]}, was {segment.start_ms}.")
        if segment.start_ms == self._starts[-1]:
            self._segments.pop()
            self._starts.pop()
        self._segments.append(segment)
        self._starts.append(segment.start_ms)

    def at(self, instant_ms: int) -> Segment:
        """Return the segment in force at an instant."""
        return self._segments[bisect_right(self._starts, instant_ms) - 1]

    def within(self, from_ms: int, to_ms: int) -> list[tuple[int, int, Segment]]:
        """Return the pieces (start, end, segment) that cover [from_ms, to_ms) without overlap, rising in time."""
        first = bisect_right(self._starts, from_ms) - 1
        pieces = []
        for index in range(first, len(self._segments)):
            start = max(from_ms, self._starts[index])
            end = min(to_ms, self._starts[index + 1]) if index + 1 < len(self._starts) else to_ms
            if start >= to_ms:
                break
            pieces.append((start, end, self._segments[index]))
        return pieces

    def boundary_minutes(self, from_ms: int, to_ms: int) -> list[int]:
        """Return the open times of minutes in [from_ms, to_ms) inside which a segment starts."""
        minutes = {start // MINUTE_MS * MINUTE_MS for start in self._starts[1:] if start % MINUTE_MS}
        return sorted(minute for minute in minutes if from_ms <= minute < to_ms)

    def to_records(self) -> list[dict[str, Any]]:
        """Return all but the undisturbed path, as kept on disk."""
        return [segment.to_record() for segment in self._segments[1:]]
