"""Every table; importing this package fills `SQLModel.metadata`."""

from lib.adapters.database.tables import (
    balances,
    exchange,
    indicators,
    market,
    news,
    notifications,
    orders,
    paper,
    portfolio,
    rebalancing,
    risk,
    strategies,
)

__all__ = [
    "balances",
    "exchange",
    "indicators",
    "market",
    "news",
    "notifications",
    "orders",
    "paper",
    "portfolio",
    "rebalancing",
    "risk",
    "strategies",
]
