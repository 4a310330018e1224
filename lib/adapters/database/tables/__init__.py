"""Every table; importing this package fills `SQLModel.metadata`."""

from lib.adapters.database.tables import exchange, market, notifications, portfolio

__all__ = ["exchange", "market", "notifications", "portfolio"]
