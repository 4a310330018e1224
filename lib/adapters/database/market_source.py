"""Holding a database to one exchange: candles have no exchange's name, so those of two must never meet."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.portfolio_rows import table_of
from lib.adapters.database.tables.exchange import MarketSourceRow
from lib.errors import SettingsError

SOURCE = table_of(MarketSourceRow)


def check_market_source(engine: Engine, name: str, now: datetime) -> None:
    """Register the exchange that a database's data comes from, or refuse another one.

    Args:
        engine: Of a migrated database.
        name: The exchange, as `Settings.market_source` names it.
        now: UTC.

    Raises:
        SettingsError: The database holds the data of another exchange.
        DatabaseUnavailable: Trying again is safe.
    """
    with database_errors("asking where its data comes from"), engine.begin() as connection:
        connection.execute(insert(SOURCE).values(id=1, name=name, registered_at=now).on_conflict_do_nothing())
        stored = connection.scalar(select(SOURCE.c.name))
    if stored != name:
        raise SettingsError(
            f"The database holds candles of {stored}, the settings (FKS_EXCHANGE, FKS_EXCHANGE_URL, "
            f"FKS_EXCHANGE_SANDBOX) name {name}: their prices would be mixed. Set FKS_HOME (or FKS_DATABASE_URL) to "
            "another place for the other exchange, or set the exchange back."
        )
