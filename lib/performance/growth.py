"""Growth: what one unit of money in an account became, whatever was paid in or out meanwhile.

Between two snapshots the account grew by ``(equity + withdrawn) / (equity before + deposited)``, as for its drawdown
(`lib.risk.drawdown`); the growth of a day is the product over its snapshots. That is the time-weighted return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from lib.risk.drawdown import EquityPoint

ZERO = Decimal(0)


@dataclass(frozen=True)
class DailyReturns:
    """Returns of UTC days, rising in time.

    Attributes:
        days: Each day once; a day in which nothing was invested is absent.
        returns: Their returns as ratios. A day without a snapshot has 0, and the next one what came in both: the sum
            stays right, and so, on average, does the deviation.
        known: How many of the days have a snapshot.
    """

    days: tuple[date, ...]
    returns: tuple[float, ...]
    known: int


def calc_factors(points: Sequence[EquityPoint]) -> list[float | None]:
    """Return by what the account grew from each point to the next; None where nothing was invested.

    100, then 150 of which 50 were deposited, then 120: 1 and 0.8.
    """
    return [_calc_factor(before, after) for before, after in pairwise(points)]


def _calc_factor(before: EquityPoint, after: EquityPoint) -> float | None:
    if before.equity <= 0:
        return None
    return float(max(after.equity + max(-after.net_flow, ZERO), ZERO) / (before.equity + max(after.net_flow, ZERO)))


def to_growth(points: Sequence[EquityPoint]) -> list[float]:
    """Return what one unit became at each point; it begins with 1, and stays where nothing was invested."""
    growth = [1.0] if points else []
    for factor in calc_factors(points):
        growth.append(growth[-1] * (1.0 if factor is None else factor))
    return growth


def to_daily_returns(points: Sequence[EquityPoint]) -> DailyReturns:
    """Return the returns of the days after the first point; what came after it on its own day counts as a day too.

    Args:
        points: Rising in time; the first one is where the period begins.
    """
    by_day: dict[date, float] = {}
    for point, factor in zip(points[1:], calc_factors(points), strict=True):
        if factor is not None:
            by_day[point.at.date()] = by_day.get(point.at.date(), 1.0) * factor
    seen = {point.at.date() for point in points}
    days: list[date] = []
    for day in by_day:
        while days and days[-1] + timedelta(days=1) < day and days[-1] + timedelta(days=1) not in seen:
            days.append(days[-1] + timedelta(days=1))
        days.append(day)
    return DailyReturns(tuple(days), tuple(by_day.get(day, 1.0) - 1 for day in days), len(by_day))


def cut_points(points: Sequence[EquityPoint], start: datetime, end: datetime) -> list[EquityPoint]:
    """Return the points from the last one before `start` (else the first one after it) to the last one before `end`.

    The first of them is where the period begins: what was paid in or out until then is no flow of the period.
    """
    within = [point for point in points if start <= point.at < end]
    before = [point for point in points if point.at < start][-1:]
    return before + within if within else []


def combine_points(by_account: Mapping[str, Sequence[EquityPoint]]) -> list[EquityPoint]:
    """Return the points of all accounts together.

    An account keeps its last equity until its next point; one that begins later is paid in with its first point.
    """
    instants = sorted({point.at for points in by_account.values() for point in points})
    equity = dict.fromkeys(instants, ZERO)
    flows = dict.fromkeys(instants, ZERO)
    for points in by_account.values():
        waiting, last = iter(points), None
        upcoming = next(waiting, None)
        for at in instants:
            if upcoming is not None and upcoming.at == at:
                flows[at] += upcoming.equity if last is None else upcoming.net_flow
                last, upcoming = upcoming, next(waiting, None)
            equity[at] += last.equity if last is not None else ZERO
    return [EquityPoint(at, equity[at], flows[at] if place else ZERO) for place, at in enumerate(instants)]
