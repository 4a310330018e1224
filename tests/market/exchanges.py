"""A small exchange in memory whose every answer a test can bend, and a clock that a test drives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from lib.errors import FksError, UnknownSymbol
from lib.market.candles import Candle
from lib.market.series import Series
from lib.market.symbols import Symbol, SymbolStatus
from lib.market.timeframes import floor_to_timeframe, width_of
from lib.ports import CandlePage
from lib.units import EPOCH

NOON = datetime(2026, 3, 2, 12, 0, 2, tzinfo=UTC)  # two seconds into a candle of every timeframe up to 12h
BTC, ETH, SOL = "BTC/USDT", "ETH/USDT", "SOL/USDT"
BTC_5M = Series(BTC, "5m")
Bend = Callable[[Series, datetime, CandlePage], CandlePage | Awaitable[CandlePage]]


class DrivenClock:
    """Stands still until a test moves it."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, **duration: float) -> None:
        self._now += timedelta(**duration)


def make_candle(series: Series, opened_at: datetime) -> Candle:
    """Return the one candle that this exchange has at that time; all its numbers differ and are exact in binary."""
    number = (opened_at - EPOCH) // series.width % 4096 + len(series.symbol)
    price = 100 + number / 16
    return Candle(opened_at, price, price + 1.5, price - 1.25, price + 0.125, number + 0.5, price * 8, number)


def make_symbol(name: str, at: datetime = NOON, status: SymbolStatus = SymbolStatus.TRADING) -> Symbol:
    base, quote = name.split("/")
    step = Decimal("0.00001")
    return Symbol(name, base, quote, status, Decimal("0.01"), step, step, Decimal(5), at)


@dataclass
class HandExchange:
    """Has a candle at every open time, except where a test takes it away.

    Attributes:
        clock: Its own; `offset` is added.
        symbols: Those it lists.
        listed_at: Open time of each symbol's first candle.
        absent: Open times without a candle.
        visible_after: How long after its close a candle appears.
        failing: Errors by symbol or series, raised instead of an answer.
        bend: Changes an answer before it is given.
        asked: Every request for candles: series, since, limit.
        listings: How often the list of symbols was asked for.
        answers_after: How long the question for its time takes.
    """

    clock: DrivenClock
    symbols: dict[str, Symbol] = field(default_factory=lambda: {name: make_symbol(name) for name in (BTC, ETH, SOL)})
    offset: timedelta = timedelta(0)
    listed_at: dict[str, datetime] = field(default_factory=dict)
    absent: set[tuple[Series, datetime]] = field(default_factory=set)
    visible_after: timedelta = timedelta(0)
    failing: dict[str, FksError] = field(default_factory=dict)
    bend: Bend | None = None
    asked: list[tuple[Series, datetime, int]] = field(default_factory=list)
    listings: int = 0
    name: str = "hand"
    answers_after: timedelta = timedelta(0)

    async def fetch_time(self) -> datetime:
        self.clock.advance(seconds=self.answers_after.total_seconds())
        return self.clock.now() + self.offset

    async def fetch_symbols(self) -> Mapping[str, Symbol]:
        self.listings += 1
        if "symbols" in self.failing:
            raise self.failing["symbols"]
        return dict(self.symbols)

    async def fetch_candles(self, symbol: str, timeframe: str, since: datetime, limit: int = 1000) -> CandlePage:
        series = Series(symbol, timeframe)
        self.asked.append((series, since, limit))
        for name in (symbol, str(series), "everything"):
            if name in self.failing:
                raise self.failing[name]
        if symbol not in self.symbols:
            raise UnknownSymbol(f"{symbol} is not listed.")
        page = CandlePage(tuple(self._candles(series, since, limit)))
        if self.bend is None:
            return page
        bent = self.bend(series, since, page)
        return bent if isinstance(bent, CandlePage) else await bent

    async def fetch_prices(self) -> Mapping[str, Decimal]:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""

    def _candles(self, series: Series, since: datetime, limit: int) -> Iterable[Candle]:
        now = self.clock.now() + self.offset
        at = max(since, self.listed_at.get(series.symbol, since))
        count = 0
        while at <= now and count < limit:
            is_visible = at + series.width > now or now >= at + series.width + self.visible_after
            if (series, at) not in self.absent and is_visible:
                count += 1
                yield make_candle(series, at)
            at += series.width

    def take_away(self, series: Series, start: datetime, end: datetime) -> None:
        """Let the exchange never have had the candles from `start` to before `end`."""
        at = start
        while at < end:
            self.absent.add((series, at))
            at += series.width


def list_candles(series: Series, start: datetime, now: datetime) -> list[Candle]:
    """Return every candle of this exchange that is closed at `now`."""
    candles = []
    at = floor_to_timeframe(start, series.timeframe)
    while at + width_of(series.timeframe) <= now:
        candles.append(make_candle(series, at))
        at += series.width
    return candles


def corrupt(
    page: CandlePage, *opens: datetime, reason: str = "low 5 and high 3 do not enclose open and close"
) -> CandlePage:
    """Return the page with the candles of these open times rejected as impossible."""
    kept = tuple(candle for candle in page.candles if candle.opened_at not in opens)
    rejected = tuple((candle.opened_at, reason) for candle in page.candles if candle.opened_at in opens)
    return replace(page, candles=kept, rejected=rejected)
