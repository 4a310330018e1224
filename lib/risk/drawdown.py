"""Drawdown: how far an account is below its best, with deposits and withdrawals left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

ONE = Decimal(1)
ZERO = Decimal(0)
DIGITS = Decimal("1e-12")  # the growth of many points is not exact to the last of 28 digits


@dataclass(frozen=True)
class EquityPoint:
    """An account's equity at an instant, in quote.

    Attributes:
        at: UTC.
        equity: Cash and everything held.
        net_flow: Deposits minus withdrawals since the point before.
    """

    at: datetime
    equity: Decimal
    net_flow: Decimal = ZERO


class EquityStore(Protocol):
    """The history of accounts' equity."""

    def load_equity(self, account: str, since: datetime) -> Sequence[EquityPoint]:
        """Return the points of an account from an instant on, rising in time.

        Raises:
            DatabaseUnavailable: The connection is refused or lost.
        """
        ...


@dataclass(frozen=True)
class Drawdown:
    """Falls from the peak, as ratios at or below zero: -0.25 is a quarter below it.

    Attributes:
        ratio: Of the newest point.
        worst_ratio: Of the deepest point.
        peak_at: When the peak was that the newest point is measured from.
        newest_at: When the newest point was.
    """

    ratio: Decimal
    worst_ratio: Decimal
    peak_at: datetime
    newest_at: datetime


def calc_drawdown(points: Sequence[EquityPoint]) -> Drawdown | None:
    """Calculate the drawdown of the account's growth, which is what each unit of money in it has become.

    Between two points the account grew by ``(equity + withdrawn) / (equity before + deposited)``: a deposit works from
    the beginning of its interval, a withdrawal leaves at the end. So neither looks like a profit or a loss, and a
    deposit into an almost empty account divides by nothing tiny.

    Equity 100, then 150 of which 50 were deposited, then 120: growth 1, 1 and 0.8, so the drawdown is -0.2.

    An account that was empty (or owed more than it had) and gets money begins anew, at its peak.

    Args:
        points: Rising in time.

    Returns:
        None without a point with equity above zero.
    """
    growth = peak = ONE
    peak_at: datetime | None = None
    worst = before = ZERO
    for point in points:
        if before > 0:
            growth *= max(point.equity + max(-point.net_flow, ZERO), ZERO) / (before + max(point.net_flow, ZERO))
        elif point.equity > 0:
            growth = peak = ONE
        if point.equity > 0 and growth >= peak:
            peak, peak_at = growth, point.at
        if peak_at is not None:
            worst = min(worst, growth / peak - ONE)
        before = point.equity
    if peak_at is None:
        return None
    ratio = (growth / peak - ONE).quantize(DIGITS)
    return Drawdown(ratio, worst.quantize(DIGITS), peak_at, points[-1].at)
