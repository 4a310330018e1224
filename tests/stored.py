"""What tests read back from the tables."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, text

from lib.market.candles import Candle
from lib.market.series import Series


def load_candles(engine: Engine, series: Series) -> Sequence[Candle]:
    """Return every stored candle of a series, rising."""
    columns = ", ".join(Candle._fields)
    query = f"SELECT {columns} FROM candles WHERE symbol = :symbol AND timeframe = :timeframe ORDER BY opened_at"
    with engine.connect() as connection:
        return [Candle(*row) for row in connection.execute(text(query), series._asdict())]
