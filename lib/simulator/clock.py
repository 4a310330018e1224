"""Exchange time: the machine's clock, or one that stands still until it is driven."""

from __future__ import annotations

import time


class RealClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the present instant in Unix milliseconds."""
        return time.time_ns() // 1_000_000


class DrivenClock:
    """A clock moved by hand, only forward: the account's books cannot be lived backwards."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        """Return the driven instant in Unix milliseconds."""
        return self._now_ms

    def move_to(self, instant_ms: int) -> None:
        """Set the time.

        Raises:
            ValueError: When the instant lies before the present one.
        """
        if instant_ms < self._now_ms:
            raise ValueError(
                f"Expected an instant at or after {self._now_ms}, was {instant_ms}. Time only moves forward."
            )
        self._now_ms = instant_ms
