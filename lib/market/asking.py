"""Asking the exchange for candles: as many at once as it answers in time, none when it wants to be left alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from lib.errors import ExchangeSlow, ExchangeUnavailable, RateLimited, RetryableError
from lib.market.answers import Answer, read_answer
from lib.market.series import Series
from lib.market.slots import Slots
from lib.ports import Exchange

PAGE = 1000  # candles a request; Binance's limit
# Then the exchange counts as down: 2 000 series would each wait for a timeout. Timeouts of requests sent beside others
# may be our own doing, so they count only once nothing less can be asked.
FAILURES_IN_A_ROW = 20
TIMEOUTS_IN_A_ROW = 3  # of requests sent alone


class CandleSource:
    """The exchange's candles for one run.

    Attributes:
        now: Tells exchange time.
        requests: How many were sent.
    """

    def __init__(self, exchange: Exchange, now: Callable[[], datetime], concurrency: int) -> None:
        self.now = now
        self.requests = 0
        self._exchange = exchange
        self._slots = Slots(concurrency)
        self._failures = 0
        self._timeouts = 0
        self._stopped_by: RetryableError | None = None

    async def fetch(self, series: Series, since: datetime, limit: int) -> Answer:
        """Return the candles that open at `since` or later; after a timeout ask once more, beside fewer others.

        Raises:
            ExchangeSlow: It did not answer in time, twice.
            ExchangeUnavailable: It could not be reached, or failed so often that it was not asked.
            RateLimited: It wants us to pause; once it said so, nothing more is asked.
            BadAnswer: The answer cannot be used.
            UnknownSymbol: The exchange does not have the symbol.
            SymbolHalted: The symbol does not trade.
        """
        try:
            return await self._ask(series, since, limit)
        except ExchangeSlow:
            pass
        try:
            return await self._ask(series, since, limit)
        except ExchangeSlow as error:
            raise ExchangeSlow(
                f"{error} Asked twice in this run. If it stays so slow, raise FKS_EXCHANGE_TIMEOUT_SECONDS or lower "
                "FKS_EXCHANGE_CONCURRENCY."
            ) from error

    async def _ask(self, series: Series, since: datetime, limit: int) -> Answer:
        async with self._slots.take():
            self._check_stopped()
            self.requests += 1
            alone = self._slots.count == 1
            asked_at = self.now()  # not later: what was still running then must not pass for closed
            try:
                page = await self._exchange.fetch_candles(series.symbol, series.timeframe, since, limit)
            except (RateLimited, ExchangeUnavailable) as error:
                self._note(error, alone)
                raise
            self._failures = self._timeouts = 0
            self._slots.grow()
        return read_answer(page, series, since=since, limit=limit, now=asked_at)

    def _note(self, error: RateLimited | ExchangeUnavailable, alone: bool) -> None:
        if isinstance(error, ExchangeSlow):
            self._slots.shrink()
            self._timeouts += alone
        else:
            self._failures += 1
        is_down = self._failures >= FAILURES_IN_A_ROW or self._timeouts >= TIMEOUTS_IN_A_ROW
        if isinstance(error, RateLimited) or is_down:
            self._stopped_by = error

    def _check_stopped(self) -> None:
        stopped_by = self._stopped_by
        if isinstance(stopped_by, RateLimited):
            raise RateLimited(f"Not asked: {stopped_by}", retry_at=stopped_by.retry_at, banned=stopped_by.banned)
        if isinstance(stopped_by, ExchangeSlow):
            raise ExchangeUnavailable(
                f"Not asked after {TIMEOUTS_IN_A_ROW} timeouts in a row of requests sent one at a time: {stopped_by} "
                "If it is there but slow, raise FKS_EXCHANGE_TIMEOUT_SECONDS."
            )
        if stopped_by is not None:
            raise ExchangeUnavailable(f"Not asked after {FAILURES_IN_A_ROW} failures in a row: {stopped_by}")
