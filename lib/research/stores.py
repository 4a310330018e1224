"""What is kept of every search, also of one that found nothing better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class SearchRecord:
    """One search of one strategy.

    Attributes:
        strategy: Its name.
        scope: The symbols that the run was restricted to, "BTC/USDT,ETH/USDT"; empty for all that are kept.
        window_starts_at: Of the first day of candles, UTC.
        window_ends_at: Of the day after the last.
        in_force_version: Of the parameters that signals were given by.
        candidate_version: Of the candidate that was kept; None when what was in force was the best.
        parameters: The best.
        metrics: What was found, as `lib.research.searching.to_metrics` has it.
        code_version: Of the strategy's file.
        searched_at: UTC.
    """

    strategy: str
    scope: str
    window_starts_at: datetime
    window_ends_at: datetime
    in_force_version: int
    candidate_version: int | None
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    code_version: str
    searched_at: datetime


class SearchStore(Protocol):
    """The searches that were made. Every method raises `DatabaseUnavailable`; repeating it is then safe."""

    def save_search(self, record: SearchRecord) -> None:
        """Store a search in place of an earlier one of the same strategy, scope and last day."""
        ...

    def load_searches(self, scope: str, before: datetime, limit: int) -> Mapping[str, Sequence[SearchRecord]]:
        """Return the newest searches of a scope whose days ended before an instant, by strategy, newest first."""
        ...
