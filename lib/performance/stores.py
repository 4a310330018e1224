"""What performance keeps and asks of the database.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from lib.performance.performance import Performance
from lib.portfolio.fills import BookedFill


class PerformanceStore(Protocol):
    """Measured performance, and the fills that it is measured of."""

    def load_fills(self, account: str) -> Sequence[BookedFill]:
        """Return every fill of the account."""
        ...

    def save_performance(self, measured: Sequence[Performance], at: datetime) -> None:
        """Store what was measured, in place of the same scope's, days' and last day's; all or nothing."""
        ...
