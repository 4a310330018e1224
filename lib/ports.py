"""The interfaces between the rooms of `lib` and the outside world.

Network calls are coroutines; the database is called synchronously (one short transaction a call). Stores that belong
to one room only are declared beside it: `lib.market.stores`, `lib.portfolio.stores`, `lib.notifications.stores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from lib.balances.flows import CashFlow
from lib.market.book import OrderBook
from lib.market.candles import Candle
from lib.market.symbols import Symbol
from lib.portfolio.fills import Balance, Fill


class Clock(Protocol):
    """Where time comes from. Tests inject one that they drive."""

    def now(self) -> datetime:
        """Return the present instant, UTC and aware."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, UTC and aware."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Written:
    """What a bulk write did; rows that were there with equal values are in neither count."""

    inserted: int = 0
    updated: int = 0


@dataclass(frozen=True)
class CandlePage:
    """One answer of the exchange to a request for candles.

    Attributes:
        candles: Possible candles, rising in time, without duplicates, closed or not.
        rejected: Open time and reason of each impossible one (`None` where even the time was unusable).
        proven_from: Candles before this instant may exist although they were asked for and are not here; None when
            the answer can be believed from its beginning.
    """

    candles: tuple[Candle, ...]
    rejected: tuple[tuple[datetime | None, str], ...] = ()
    proven_from: datetime | None = None


class Exchange(Protocol):
    """A spot exchange's public side.

    Every method raises `ExchangeUnavailable` or `RateLimited` (retry), `BadAnswer` (malformed) or, where a symbol is
    given, `UnknownSymbol` or `SymbolHalted`.
    """

    name: str

    async def fetch_time(self) -> datetime:
        """Return the exchange's clock as of the return of this call (the answer's way is allowed for), UTC."""
        ...

    async def fetch_symbols(self) -> Mapping[str, Symbol]:
        """Return every spot symbol by name."""
        ...

    async def fetch_candles(self, symbol: str, timeframe: str, since: datetime, limit: int = 1000) -> CandlePage:
        """Return at most `limit` candles that open at `since` or later, oldest first (the running one included)."""
        ...

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        """Return the last price of every symbol, by one request."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class BookSource(Protocol):
    """Where paper accounts see what they could have bought or sold. Raises as `Exchange` does."""

    async def fetch_book(self, symbol: str) -> OrderBook:
        """Return the best levels of a symbol's order book (a hundred on Binance)."""
        ...


class ExchangeAccount(Protocol):
    """The private side of one account: signed requests. Raises as `Exchange` does, and `CredentialsRefused`."""

    account: str

    async def fetch_balances(self) -> Mapping[str, Balance]:
        """Return every asset with a total above zero."""
        ...

    async def fetch_fills(self, symbol: str, from_id: int) -> Sequence[Fill]:
        """Return all fills of the symbol with an id >= `from_id`, rising by id (pages are followed)."""
        ...

    async def fetch_cash_flows(self, since: datetime) -> Sequence[CashFlow]:
        """Return all deposits and withdrawals since then, also those under way, by time.

        Raises `CredentialsRefused` where the key may not read them.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
