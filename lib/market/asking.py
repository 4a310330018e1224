"""Asking the exchange for candles: a bounded number of requests at once, and silence when it wants to be left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from lib.errors import ExchangeUnavailable, RateLimited, RetryableError
from lib.market.answers import Answer, read_answer
from lib.market.series import Series
from lib.ports import Exchange

PAGE = 1000  # candles a request; Binance's limit
FAILURES_IN_A_ROW = 20  # then the exchange counts as down: 2 000 series would each wait for a timeout


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
        self._slots = asyncio.Semaphore(concurrency)
        self._failures = 0
        self._stopped_by: RetryableError | None = None

    async def fetch(self, series: Series, since: datetime, limit: int) -> Answer:
        """Return the candles that open at `since` or later.

        Raises:
            ExchangeUnavailable: It did not answer, or it has not answered so often that it was not asked.
            RateLimited: It wants us to pause; once it said so, nothing more is asked.
            BadAnswer: The answer cannot be used.
            UnknownSymbol: The exchange does not have the symbol.
            SymbolHalted: The symbol does not trade.
        """
        async with self._slots:
            self._check_stopped()
            self.requests += 1
            asked_at = self.now()  # not later: what was still running then must not pass for closed
            try:
                page = await self._exchange.fetch_candles(series.symbol, series.timeframe, since, limit)
            except RateLimited as error:
                self._stopped_by = error
                raise
            except ExchangeUnavailable as error:
                self._failures += 1
                if self._failures >= FAILURES_IN_A_ROW:
                    self._stopped_by = error
                raise
            self._failures = 0
        return read_answer(page, series, since=since, limit=limit, now=asked_at)

    def _check_stopped(self) -> None:
        stopped_by = self._stopped_by
        if isinstance(stopped_by, RateLimited):
            raise RateLimited(f"Not asked: {stopped_by}", retry_at=stopped_by.retry_at, banned=stopped_by.banned)
        if stopped_by is not None:
            raise ExchangeUnavailable(f"Not asked after {FAILURES_IN_A_ROW} failures in a row: {stopped_by}")
