"""Every table; importing this package fills `SQLModel.metadata`."""

from lib.adapters.database.tables import (
    balances,
    exchange,
    market,
    news,
    notifications,
    paper,
    portfolio,
    risk,
    strategies,
)

__all__ = ["balances", "exchange", "market", "news", "notifications", "paper", "portfolio", "risk", "strategies"]
