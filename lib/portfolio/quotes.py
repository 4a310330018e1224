"""Current prices of every symbol, from one answer of the exchange."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from lib.errors import RateLimited, RetryableError
from lib.ports import Clock

PAUSES_SECONDS = (0.5, 1.5)
logger = logging.getLogger(__name__)


class PriceSource(Protocol):
    """The part of `lib.ports.Exchange` that valuing needs."""

    name: str

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        """Return the last price of every symbol, by one request."""
        ...


@dataclass(frozen=True)
class Quotes:
    """One answer of the exchange, or why there is none.

    Attributes:
        prices: Last price by symbol, as the exchange gave it.
        at: When it answered, UTC.
        error: Why it did not; `prices` is then empty.
    """

    prices: Mapping[str, Decimal]
    at: datetime
    error: Exception | None = None

    def find(self, symbol: str) -> Decimal | None:
        """Return the symbol's price if it is one at all: finite and above zero."""
        price = self.prices.get(symbol)
        return price if price is not None and price.is_finite() and price > 0 else None


async def fetch_quotes(exchange: PriceSource, clock: Clock) -> Quotes:
    """Ask for all prices; a failure is part of the answer, because fills are to be booked without prices too.

    What may pass is asked again after each pause: without prices no stop loss is checked in this run.
    """
    pauses = iter(PAUSES_SECONDS)
    while True:
        try:
            return Quotes(await exchange.fetch_prices(), clock.now())
        except Exception as error:  # noqa: BLE001 - reported as a failed item by whoever needs a price
            logger.warning("No prices from %s: %s", exchange.name, error)
            may_pass = isinstance(error, RetryableError) and not isinstance(error, RateLimited)
            pause = next(pauses, None) if may_pass else None
            if pause is None:
                return Quotes({}, clock.now(), error)
        await asyncio.sleep(pause)
