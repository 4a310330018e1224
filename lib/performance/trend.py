"""The trend: what was measured on earlier days over as many days, beside what is measured now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

STEPS = tuple(timedelta(days=days) for days in (0, 1, 7, 14, 28, 91))
"""How long before the newest measurement the others are: each is of as many days, so near ones hardly differ."""


@dataclass(frozen=True)
class TrendPoint:
    """What was measured, and kept, of the days that end with `last_day`; None is not enough data, or not defined.

    Attributes:
        last_day: Of the period.
        profit: In quote.
        total_return: Ratio.
        benchmark_return: Of holding BTC, ratio.
        volatility: A year's, ratio.
        sharpe: A year's.
        max_drawdown: At or below zero, ratio.
        win_rate: Ratio of the trades that were closed.
    """

    last_day: date
    profit: Decimal
    total_return: float | None
    benchmark_return: float | None
    volatility: float | None
    sharpe: float | None
    max_drawdown: float | None
    win_rate: float | None


def list_trend_days(last_day: date) -> list[date]:
    """Return the last days whose measurements make the trend up to this one, newest first."""
    return [last_day - step for step in STEPS]


def is_trend(points: Sequence[TrendPoint]) -> bool:
    """Tell whether there is anything to compare with."""
    return len(points) > 1
