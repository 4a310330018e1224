"""What performance keeps and asks of the database.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from lib.performance.performance import Performance
from lib.performance.trades import Entries
from lib.performance.trend import TrendPoint


class PerformanceStore(Protocol):
    """Measured performance, and the entries that it is measured of."""

    def load_entries(self, account: str) -> Entries:
        """Return everything that the account's ledger is made of, as of one instant."""
        ...

    def save_performance(self, measured: Sequence[Performance], at: datetime) -> None:
        """Store what was measured, in place of the same scope's, days' and last day's; all or nothing."""
        ...

    def load_trend(self, account: str, days: int, last_days: Sequence[date]) -> Sequence[TrendPoint]:
        """Return what was stored of so many days that end with one of these, newest first; others are absent."""
        ...
