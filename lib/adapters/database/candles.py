"""Candles for readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select

from lib.adapters.database.engine import database_errors
from lib.adapters.database.tables.market import CANDLES
from lib.market.candles import Candle
from lib.market.gaps import Span
from lib.market.series import Series


@dataclass(frozen=True)
class DatabaseCandles:
    """A `CandleStore`."""

    engine: Engine

    def load_candles(self, series: Series, window: Span) -> Sequence[Candle]:
        """Return the stored candles that open in the window, rising."""
        values = [column for column in CANDLES.columns if column.name not in ("symbol", "timeframe")]
        query = (
            select(*values)
            .where(CANDLES.c.symbol == series.symbol, CANDLES.c.timeframe == series.timeframe)
            .where(CANDLES.c.opened_at >= window.start, CANDLES.c.opened_at < window.end)
            .order_by(CANDLES.c.opened_at)
        )
        with database_errors(f"reading candles of {series}"), self.engine.connect() as connection:
            return [Candle(*row) for row in connection.execute(query)]
