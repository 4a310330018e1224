"""A real database beside a hand-made exchange, and one call that syncs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from lib.adapters.database.sync import DatabaseSync
from lib.market.candles import Candle
from lib.market.gaps import Gap, Span
from lib.market.run import SyncOptions
from lib.market.series import Series, SyncStatus
from lib.market.sync import backfill_market_data, sync_market_data
from lib.market.sync_result import SyncResult
from lib.units import EPOCH
from tests.market.exchanges import BTC, DrivenClock, HandExchange
from tests.stored import load_candles

ALWAYS = Span(EPOCH, EPOCH + timedelta(days=36_500))
OPTIONS = SyncOptions({"5m": timedelta(hours=2)}, wait=timedelta(0), poll=timedelta(milliseconds=5))


@dataclass
class Desk:
    """One database, one exchange, one clock.

    Attributes:
        options: Of every sync; two hours of 5m candles.
    """

    engine: Engine
    clock: DrivenClock
    exchange: HandExchange
    options: SyncOptions = field(default=OPTIONS)

    @property
    def store(self) -> DatabaseSync:
        return DatabaseSync(self.engine)

    def change(self, **options: Any) -> None:
        """Change options."""
        self.options = replace(self.options, **options)

    async def sync(self, *symbols: str, **arguments: Any) -> SyncResult:
        arguments.setdefault("symbols", symbols or (BTC,))
        arguments.setdefault("store", self.store)
        return await sync_market_data(exchange=self.exchange, clock=self.clock, options=self.options, **arguments)

    async def backfill(self, series: Series, start: datetime, end: datetime, *, verified: bool = False) -> SyncResult:
        return await backfill_market_data(
            exchange=self.exchange,
            store=self.store,
            clock=self.clock,
            options=self.options,
            symbols=[series.symbol],
            timeframes=[series.timeframe],
            start=start,
            end=end,
            verified=verified,
        )

    def candles(self, series: Series) -> Sequence[Candle]:
        return load_candles(self.engine, series)

    def gaps(self, series: Series) -> Sequence[Gap]:
        with self.store.open_session() as session:
            return session.load_gaps(series, ALWAYS)

    def status(self, series: Series) -> SyncStatus:
        with self.store.open_session() as session:
            return session.load_states([series])[series].status

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)
