"""Request weight and pauses, shared by every process that talks to one exchange from this address.

Binance counts the weight of all requests of an address in fixed minutes (UTC) and tells the sum in
``X-MBX-USED-WEIGHT-1M``; over the limit it answers 429, and 418 (a ban of two minutes to three days) to those who go
on. Source: Binance Spot API, "LIMITS". So the sum lives in the database: nobody sends before the weight is taken there,
and whoever is refused pauses everyone.

Minutes follow the injected clock, not the exchange's: the exchange's own sum corrects ours upward after each answer,
and a waiter starts `MARGIN` late, so that a clock a little fast does not charge the old minute's sum to the new one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lib.errors import RateLimited
from lib.ports import Clock
from lib.units import EPOCH

WINDOW = timedelta(minutes=1)
MARGIN = timedelta(milliseconds=500)
# Of each minute's weight, what candles and fills leave to more urgent requests: neither a backfill nor the first import
# of hundreds of symbols (weight 20 each) may blind the stop-loss check, which needs balances and prices.
LEFT_BY_CANDLES_RATIO = 0.1
LEFT_BY_FILLS_RATIO = 0.03
FIRST_PAUSE = timedelta(seconds=60)  # 429 without Retry-After
FIRST_BAN = timedelta(seconds=120)  # 418 without Retry-After
LONGEST_PAUSE = timedelta(days=3)  # the longest ban Binance documents
FORGIVEN_AFTER = timedelta(minutes=10)  # a refusal this long after a pause is a first one again


@dataclass(frozen=True)
class Taken:
    """Weight was taken from the minute that began at `window_started_at`; all processes now used `used_weight`."""

    window_started_at: datetime
    used_weight: int


@dataclass(frozen=True)
class Held:
    """Nothing was taken. Ask again at `until`: the next minute, or the end of a pause (`paused`; `banned` by 418)."""

    until: datetime
    paused: bool
    banned: bool


@dataclass(frozen=True)
class Pause:
    """A time in which nobody sends, and how many refusals in a row led to it."""

    until: datetime
    refusals: int
    banned: bool


def calc_pause(previous: Pause | None, now: datetime, retry_after: timedelta | None, banned: bool) -> Pause:
    """Return the pause after a refusal at `now`.

    Without Retry-After the first lasts `FIRST_PAUSE` (429) or `FIRST_BAN` (418) and each further one in a row twice as
    long. Refusals of requests that were under way when a pause began belong to it: they never double it, and never
    shorten it.
    """
    active = previous is not None and previous.until > now
    recent = previous is not None and now - previous.until < FORGIVEN_AFTER
    refusals = previous.refusals + (0 if active else 1) if previous is not None and recent else 1
    first = FIRST_BAN if banned else FIRST_PAUSE
    seconds = retry_after if retry_after is not None else first * 2 ** min(refusals - 1, 12)
    until = now + min(seconds, LONGEST_PAUSE)
    if previous is not None and active:
        return Pause(max(until, previous.until), refusals, banned or previous.banned)
    return Pause(until, refusals, banned)


class BudgetLedger(Protocol):
    """The shared sums, by exchange (its host name). Raises `DatabaseUnavailable`."""

    def take(self, exchange: str, weight: int, limit: int, now: datetime) -> Taken | Held:
        """Take `weight` from the minute of `now` if there is room below `limit` and no pause."""
        ...

    def raise_used(self, exchange: str, window_started_at: datetime, used_weight: int) -> None:
        """Correct that minute's sum upward to what the exchange told; never downward."""
        ...

    def pause(self, exchange: str, now: datetime, retry_after: timedelta | None, banned: bool) -> Pause:
        """Make every process pause, as `calc_pause` says."""
        ...


class WeightBudget:
    """One process's view of the shared budget of one exchange.

    Args:
        ledger: The shared sums.
        exchange: The key there; the host name, since limits are kept by host and address.
        limit: Weight a minute.
        max_wait: A longer wait raises `RateLimited` instead.
        clock: Where minutes come from.
        sleep: Waits that many seconds; tests drive their clock with it.
    """

    def __init__(
        self,
        ledger: BudgetLedger,
        exchange: str,
        *,
        limit: int,
        max_wait: timedelta,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._exchange = exchange
        self._limit = limit
        self._max_wait = max_wait
        self._clock = clock
        self._sleep = sleep
        # Of equal urgency one asks the database, the others queue: in order, and without a stampede. What is more
        # urgent has a queue of its own: weight is left for it while candles wait for the next minute.
        self._turns: defaultdict[float, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._newest = Taken(EPOCH, 0)

    async def acquire(self, weight: int, *, leave_ratio: float = 0.0) -> Taken:
        """Wait until `weight` may be spent, and take it.

        Args:
            weight: Of the request.
            leave_ratio: Share of each minute's weight that it leaves to more urgent requests.

        Raises:
            RateLimited: The wait would be longer than the limit; `retry_at` says until when.
            DatabaseUnavailable: The shared sums cannot be reached.
        """
        limit = int(self._limit * (1 - leave_ratio))
        async with self._turns[leave_ratio]:
            waited = timedelta()
            while True:
                now = self._clock.now()
                outcome = await asyncio.to_thread(self._ledger.take, self._exchange, weight, limit, now)
                if isinstance(outcome, Taken):
                    self._newest = max(outcome, self._newest, key=lambda taken: taken.window_started_at)
                    return outcome
                wait = outcome.until - now + (timedelta() if outcome.paused else MARGIN)
                if waited + wait > self._max_wait:
                    raise self._refusal(outcome, wait)
                await self._sleep(wait.total_seconds())
                waited += wait

    def is_soon(self, instant: datetime) -> bool:
        """Tell whether an instant is near enough to wait for."""
        return instant - self._clock.now() <= self._max_wait

    async def note_used(self, taken: Taken, used_weight: int | None) -> None:
        """Correct the sum with what the exchange told in its answer to a request for which `taken` was taken."""
        known = max(taken.used_weight, self._newest.used_weight)
        if used_weight is None or taken.window_started_at != self._newest.window_started_at or used_weight <= known:
            return
        self._newest = Taken(taken.window_started_at, used_weight)
        await asyncio.to_thread(self._ledger.raise_used, self._exchange, taken.window_started_at, used_weight)

    async def pause(self, retry_after: timedelta | None, banned: bool) -> Pause:
        """Make every process pause after a 429 or a 418 (`banned`)."""
        return await asyncio.to_thread(self._ledger.pause, self._exchange, self._clock.now(), retry_after, banned)

    def _refusal(self, held: Held, wait: timedelta) -> RateLimited:
        why = f"{self._exchange} asked for a pause" if held.paused else f"the weight budget of {self._limit} is spent"
        return RateLimited(
            f"Nothing may be sent to {self._exchange} for {wait.total_seconds():.0f} s: {why}. "
            f"It goes on by itself at {held.until:%H:%M:%S} UTC.",
            retry_at=held.until,
            banned=held.banned,
        )
