"""What the portfolio asks of the stored market data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, select, text

from lib.adapters.database.engine import database_errors
from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.market import SymbolRow
from lib.market.symbols import SymbolStatus
from lib.market.timeframes import WIDTHS
from lib.portfolio.stores import HistoricPrice, Listing
from lib.units import to_decimal

SYMBOLS = table_of(SymbolRow)
NEWEST_FIRST = text("""
    SELECT wanted.at, best.close, best.timeframe, best.closed_at
    FROM unnest(CAST(:instants AS timestamptz[])) AS wanted (at)
    CROSS JOIN LATERAL (
        SELECT candle.close, series.timeframe, candle.opened_at + series.width AS closed_at
        FROM unnest(CAST(:timeframes AS text[]), CAST(:widths AS interval[])) AS series (timeframe, width)
        CROSS JOIN LATERAL (
            SELECT close, opened_at FROM candles
            WHERE symbol = :symbol AND timeframe = series.timeframe
              AND opened_at <= wanted.at - series.width
              AND opened_at >= wanted.at - series.width - CAST(:oldest AS interval)
            ORDER BY opened_at DESC LIMIT 1
        ) AS candle
        ORDER BY closed_at DESC, series.width LIMIT 1
    ) AS best
""")


class DatabaseMarketFacts:
    """The `MarketFacts` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load_listings(self, symbols: Collection[str]) -> Mapping[str, Listing]:
        """See `MarketFacts`."""
        with database_errors("reading symbols"), self._engine.connect() as connection:
            rows = connection.execute(select(SYMBOLS).where(SYMBOLS.c.name.in_(symbols)))
            return {
                row.name: Listing(
                    SymbolStatus(row.status), row.quantity_step, row.price_step, row.min_quantity, row.min_notional
                )
                for row in rows
            }

    def load_names(self) -> Collection[str]:
        """Return the names of the symbols that the exchange has."""
        with database_errors("reading symbols"), self._engine.connect() as connection:
            is_listed = SYMBOLS.c.status != SymbolStatus.DELISTED.value
            return connection.scalars(select(SYMBOLS.c.name).where(is_listed)).all()

    def load_prices_before(self, symbol: str, instants: Sequence[datetime]) -> Mapping[datetime, HistoricPrice]:
        """See `MarketFacts`. Among candles that close at once, the one of the shortest timeframe."""
        parameters = {
            "symbol": symbol,
            "instants": list(instants),
            "timeframes": list(WIDTHS),
            "widths": list(WIDTHS.values()),
            "oldest": timedelta(days=1),
        }
        with database_errors(f"reading candles of {symbol}"), self._engine.connect() as connection:
            rows = connection.execute(NEWEST_FIRST, parameters)
            return {row.at: HistoricPrice(to_decimal(row.close), row.timeframe, row.closed_at) for row in rows}
