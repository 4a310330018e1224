"""One time for the platform and its exchange: it stands while a step computes, and goes on while a step waits."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from tests.simulators import Control

PATIENCE_SECONDS = 0.5  # of the machine's time; a step that takes longer waits for something
BEAT_SECONDS = 0.02
TICK = timedelta(seconds=0.4)  # a dozen times as fast as it is; less than the offset that people are told of


class SoakClock:
    """The platform's clock, moved together with the simulator's.

    Attributes:
        skew: How far the platform's clock is ahead of the exchange's.
        ticks: How often time went on by itself since the last jump.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._now = control.now()
        self._lock = threading.Lock()
        self.skew = timedelta()
        self.ticks = 0

    def now(self) -> datetime:
        """Return the platform's instant."""
        return self._now + self.skew

    def exchange_now(self) -> datetime:
        """Return the exchange's instant."""
        return self._now

    def jump(self, at: datetime) -> None:
        """Go on to an instant; one that has passed while something waited changes nothing."""
        with self._lock:
            self.ticks = 0
            if at > self._now:
                self._move(at)

    def _tick(self) -> None:
        with self._lock:
            self.ticks += 1
            self._move(self._now + TICK)

    def _move(self, at: datetime) -> None:
        if at.replace(second=0, microsecond=0) > self._now:  # another minute, of which nothing is used yet
            self._control.reset_usage()
        self._control.set_time(at)
        self._now = at

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let time go on while the body takes longer than computing does, so that every wait of it ends."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        await asyncio.sleep(PATIENCE_SECONDS)
        while True:
            await asyncio.shield(asyncio.to_thread(self._tick))
            await asyncio.sleep(BEAT_SECONDS)
