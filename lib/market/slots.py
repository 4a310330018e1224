"""How many requests are in flight: as many as the exchange answers in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """Slots for requests: half as many after each timeout, one more after as many successes as there are slots.

    That is the additive increase and multiplicative decrease of TCP (RFC 5681): a slow exchange is asked for what it
    can answer, and one bad moment costs a few round trips. Belongs to one event loop.

    Attributes:
        count: How many there are now, 1 to `most`.
    """

    def __init__(self, most: int) -> None:
        self.count = most
        self._most = most
        self._in_use = 0
        self._successes = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        while self._in_use >= self.count:
            self._changed.clear()
            await self._changed.wait()
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1
            self._changed.set()

    def shrink(self) -> None:
        """Go on with half of what is in flight, but one request; call it with the slot of a timeout in hand."""
        self.count = max(1, min(self.count, self._in_use) // 2)
        self._successes = 0

    def grow(self) -> None:
        """Count an answer."""
        self._successes += 1
        if self._successes >= self.count:
            self.count, self._successes = min(self.count + 1, self._most), 0
            self._changed.set()
