"""Every table; importing this package fills `SQLModel.metadata`."""

from lib.adapters.database.tables import (
    archive,
    balances,
    exchange,
    indicators,
    market,
    news,
    notifications,
    orders,
    paper,
    performance,
    portfolio,
    rebalancing,
    reconciliation,
    risk,
    strategies,
    tickets,
)

__all__ = [
    "archive",
    "balances",
    "exchange",
    "indicators",
    "market",
    "news",
    "notifications",
    "orders",
    "paper",
    "performance",
    "portfolio",
    "rebalancing",
    "reconciliation",
    "risk",
    "strategies",
    "tickets",
]
