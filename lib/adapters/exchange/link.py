"""One client of one exchange: every request goes through `Link.send`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ccxt.async_support as ccxt

from lib.adapters.exchange import answers
from lib.adapters.exchange.budget import Taken, WeightBudget
from lib.adapters.exchange.client import Venue, is_like_binance
from lib.adapters.exchange.errors import PARSING_ERRORS, Subject, is_rate_limit, translate
from lib.adapters.exchange.outcomes import to_outcome
from lib.adapters.exchange.replies import Reply, expect_reply
from lib.errors import FksError, OrderNotSent, OutcomeUnknown, RateLimited, RetryableError
from lib.ports import Clock
from lib.units import to_milliseconds

TIME_WEIGHT = 1
TIME_TRIES = 3
SHORT_TRIP = timedelta(milliseconds=500)  # the offset measured is wrong by half of it at most
CLOCK_TOLERANCE = timedelta(seconds=1)  # what measuring an offset may miss

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One read from the exchange.

    Attributes:
        what: In words, for messages: "klines of BTC/USDT 1h".
        weight: What the exchange charges for it.
        call: Sends it.
        symbol: The symbol asked for, if one is.
        leave_ratio: Share of each minute's weight that it leaves to more urgent requests. Zero makes it one of those:
            it waits for no slot either, since requests that wait for weight may hold them all.
    """

    what: str
    weight: int
    call: Callable[[], Awaitable[Any]]
    symbol: str | None = None
    leave_ratio: float = 0.0


@dataclass
class Traffic:
    """Counters of one client, for the run's log and the benchmark.

    Attributes:
        requests: Sent, repetitions included.
        weight: Taken from the budget for them.
        refused: Answers that asked for a pause (429 or 418).
        in_flight: Sent and not answered now.
        peak_in_flight: The most at once.
        budget_seconds: Spent waiting for weight, summed over requests that waited at the same time.
        reply_seconds: Spent waiting for answers, summed likewise.
    """

    requests: int = 0
    weight: int = 0
    refused: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    budget_seconds: float = 0.0
    reply_seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.requests} requests of weight {self.weight}, at most {self.peak_in_flight} at once, "
            f"{self.refused} refused; {self.budget_seconds:.2f} s waiting for weight, "
            f"{self.reply_seconds:.2f} s for answers (summed)"
        )

    @contextmanager
    def flight(self) -> Iterator[None]:
        """Count one request while it is under way."""
        started = time.perf_counter()
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1
            self.reply_seconds += time.perf_counter() - started


class Link:
    """Sends reads: bounded concurrency, shared weight, translated errors, a measured clock. Belongs to one event loop.

    Attributes:
        client: The ccxt client.
        name: The venue's name.
        traffic: Counters since it was made.
        clock_offset: The exchange's clock minus ours; None until it was measured.
    """

    def __init__(self, client: Any, venue: Venue, budget: WeightBudget, clock: Clock) -> None:
        self.client = client
        self.name = venue.name
        self.traffic = Traffic()
        self.clock_offset: timedelta | None = None
        self._budget = budget
        self._clock = clock
        self._slots = asyncio.Semaphore(venue.concurrency)
        if is_like_binance(client):
            client.nonce = lambda: to_milliseconds(self.exchange_now())

    def exchange_now(self) -> datetime:
        """Return the exchange's time: our clock, corrected once its offset was measured."""
        return self._clock.now() + (self.clock_offset or timedelta())

    async def send(self, request: Request) -> Any:
        """Return the answer's JSON, of whatever shape.

        A read is repeated once: after a pause that the exchange asked for, if that is short, or after a refused
        timestamp, with the clock measured again. Anything else is for the caller to repeat.

        Raises:
            FksError: As `lib.ports.Exchange` says.
        """
        if not request.leave_ratio:
            return await self._send(request, may_repeat=True)
        async with self._slots:
            return await self._send(request, may_repeat=True)

    async def send_once(self, request: Request) -> tuple[Any, Reply]:
        """Send what changes something on the exchange: once, whatever comes back.

        Returns:
            The answer's JSON, of whatever shape, and the reply that it came with.

        Raises:
            OrderNotSent: Certainly nothing was booked.
            OrderRefused: The exchange said no, for a reason that repeating does not mend.
            UnknownOrder: It was to change an order that the exchange does not have.
            OutcomeUnknown: Anything else.
        """
        try:
            taken = await self._acquire(request)
        except RetryableError as error:
            raise OrderNotSent(f"{request.what} was not sent: {error}") from error
        with expect_reply(self.client.apiKey, self.client.secret) as reply:
            try:
                with self.traffic.flight():
                    answer = await request.call()
            except (ccxt.BaseError, *PARSING_ERRORS) as error:
                raise to_outcome(error, reply, await self._judge(error, reply, request)) from None
            if reply.malformed:
                raise OutcomeUnknown(f"{self.name} answered {request.what} with something that is no JSON.")
            await self._budget.note_used(taken, reply.used_weight)
            return answer, reply

    async def measure_offset(self) -> timedelta:
        """Ask for the exchange's time; return its clock minus ours, which also corrects us from now on.

        The answer is taken to hold for the middle of the request's round trip, the shortest of a few when the first is
        long, as on a machine that has just started. Zero where the exchange does not tell.
        """
        if not self.client.has.get("fetchTime"):
            self.clock_offset = timedelta()
            return self.clock_offset
        measured = []
        for _ in range(TIME_TRIES):
            measured.append(await self._measure_once())
            if measured[-1][0] <= SHORT_TRIP:
                break
        _, self.clock_offset = min(measured)
        return self.clock_offset

    async def _measure_once(self) -> tuple[timedelta, timedelta]:
        """Return how long one request's round trip took, and the offset that it showed."""
        like_binance = is_like_binance(self.client)

        async def ask() -> tuple[datetime, Any, datetime]:
            sent_at = self._clock.now()
            answer = await (self.client.publicGetTime() if like_binance else self.client.fetch_time())
            return sent_at, answer, self._clock.now()

        weight = TIME_WEIGHT if like_binance else 0
        sent_at, answer, received_at = await self._send(Request("its time", weight, ask), may_repeat=False)
        to_time = answers.to_server_time if like_binance else answers.to_instant
        trip = received_at - sent_at
        return trip, to_time(answer, f"time of {self.name}") - (sent_at + trip / 2)

    async def latest_instant(self, told_ms: int) -> datetime:
        """Return the instant after which nothing can have happened on the exchange yet.

        Args:
            told_ms: The latest time in an answer, Unix milliseconds. When it lies in the future, our clock may be the
                one that is wrong: the offset is measured again before anyone judges.
        """
        if told_ms > to_milliseconds(self.exchange_now() + CLOCK_TOLERANCE):
            await self.measure_offset()
        return self.exchange_now() + CLOCK_TOLERANCE

    async def close(self) -> None:
        """Release connections, and log what was asked."""
        await self.client.close()
        if self.traffic.requests:
            logger.info("%s: %s", self.name, self.traffic)

    async def _send(self, request: Request, *, may_repeat: bool) -> Any:
        taken = await self._acquire(request)
        with expect_reply(self.client.apiKey, self.client.secret) as reply:
            try:
                with self.traffic.flight():
                    answer = await request.call()
            except (ccxt.BaseError, *PARSING_ERRORS) as error:
                failure = await self._judge(error, reply, request)
                clock_refused = isinstance(error, ccxt.InvalidNonce)
            else:
                await self._budget.note_used(taken, reply.used_weight)
                if reply.malformed:
                    raise answers.refuse(f"{self.name}, {request.what}", "", "JSON", reply.body)
                return answer
        paused_shortly = isinstance(failure, RateLimited) and self._budget.is_soon(failure.retry_at)
        if not may_repeat or not (clock_refused or paused_shortly):
            raise failure
        if clock_refused:
            offset = await self.measure_offset()
            logger.warning(
                "%s refused our timestamp; its clock is %+.3f s from ours.", self.name, offset.total_seconds()
            )
        return await self._send(request, may_repeat=False)

    async def _acquire(self, request: Request) -> Taken:
        started = time.perf_counter()
        try:
            taken = await self._budget.acquire(request.weight, leave_ratio=request.leave_ratio)
        finally:
            self.traffic.budget_seconds += time.perf_counter() - started
        self.traffic.weight += request.weight
        return taken

    async def _judge(self, error: Exception, reply: Reply, request: Request) -> FksError:
        if not is_rate_limit(error, reply):
            timeout = self.client.timeout / 1000
            return translate(error, reply, Subject(self.name, request.what, request.symbol, timeout))
        self.traffic.refused += 1
        pause = await self._budget.pause(reply.retry_after, banned=reply.status == 418)
        message = (
            f"{self.name} refused {request.what}: too many requests from this address (HTTP {reply.status}). "
            f"Every process pauses until {pause.until:%Y-%m-%d %H:%M:%S} UTC."
        )
        logger.warning(message)  # also where the pause is short, and the request is repeated without a word
        return RateLimited(message, retry_at=pause.until, banned=pause.banned)
