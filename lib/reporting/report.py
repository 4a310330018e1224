"""The report: one record of what there is to say, from which every rendering is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from lib.allocation.drift import Allocation
from lib.balances.breaks import Break
from lib.balances.snapshots import Snapshot
from lib.performance.performance import Performance, Scope
from lib.performance.period import Period
from lib.performance.trades import FilledOrder
from lib.performance.trend import TrendPoint
from lib.portfolio.stores import HeldPosition
from lib.reporting.runs import RunHistory
from lib.reporting.stores import RiskLine, SignalCount, StoredTimeframe
from lib.strategy.stores import StoredStrategy

STALE = timedelta(hours=2)
"""From then on balances are told as old; they are written every quarter of an hour."""


class ReportType(StrEnum):
    """How long a report's period is."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    @property
    def days(self) -> int:
        """UTC days of the period."""
        return {ReportType.DAILY: 1, ReportType.WEEKLY: 7, ReportType.MONTHLY: 30}[self]

    @property
    def chart_days(self) -> int:
        """UTC days that the charts show."""
        return 90 if self is ReportType.MONTHLY else 30

    @property
    def present(self) -> str:
        """What the period is called."""
        return {ReportType.DAILY: "the day", ReportType.WEEKLY: "the week", ReportType.MONTHLY: "30 days"}[self]

    @property
    def previous(self) -> str:
        """What the period before is called."""
        return {
            ReportType.DAILY: "the day before",
            ReportType.WEEKLY: "the week before",
            ReportType.MONTHLY: "the 30 days before",
        }[self]


@dataclass(frozen=True)
class AccountLine:
    """An account as it stands.

    Attributes:
        name: Its name.
        kind: "live" or "paper".
        quote_asset: What its amounts are in.
        balance: Its newest snapshot; None before the first.
        refused: Why nothing can be done with it now; None where it can be used.
        breaks: Open differences to its ledger.
    """

    name: str
    kind: str
    quote_asset: str
    balance: Snapshot | None
    refused: str | None = None
    breaks: tuple[Break, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it, as in one that was closed."""
        return self.balance is not None and not self.balance.equity

    def is_stale(self, now: datetime) -> bool:
        """Whether its newest balance is old."""
        return self.balance is not None and now - self.balance.at > STALE


@dataclass(frozen=True)
class SymbolResult:
    """What a symbol brought; in quote, None where it is not known.

    Attributes:
        symbol: "BTC/USDT".
        realized: In the period.
        fees: In the period.
        unrealized: Now, of the open positions; None without one that has a price.
    """

    symbol: str
    realized: Decimal
    fees: Decimal
    unrealized: Decimal | None

    @property
    def total(self) -> Decimal:
        """Realized and unrealized."""
        return self.realized + (self.unrealized or Decimal(0))


@dataclass(frozen=True)
class Curve:
    """What the charts draw: values at instants.

    Attributes:
        at: UTC.
        equity: In quote.
        growth: Of one unit, deposits and withdrawals left out.
        benchmark_at: UTC.
        benchmark: What equity would be in BTC, with the same deposits; NaN where its price is not known.
        flows: Deposits and withdrawals (negative), with their instants.
    """

    at: tuple[datetime, ...]
    equity: tuple[float, ...]
    growth: tuple[float, ...]
    benchmark_at: tuple[datetime, ...] = ()
    benchmark: tuple[float, ...] = ()
    flows: tuple[tuple[datetime, float], ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything that a report says.

    Attributes:
        kind: Daily, weekly or monthly.
        scope: Whose: one account, or all.
        period: Which days.
        created_at: As of when everything that is no past is, UTC.
        accounts: Of the scope.
        performance: Of the period.
        by_account: The same of each account, by name.
        previous: Of the period before.
        longer: Of the last thirty days; None where the period is as long.
        trend: What daily-metrics kept of thirty days each, newest first.
        positions: Open ones, the largest first.
        orders: Filled in the period or before it, the newest first.
        symbols: The best first.
        risks: Of the accounts that were analyzed.
        signals: Of the period.
        strategies: As they stand.
        timeframes: What is stored of candles.
        allocation: Equity against its target; None without equity, or where it is not known.
        curve: For the charts.
        history: The runs of the period.
        undelivered: Titles of the period's messages that reached nobody, and why.
        flaws: What is missing in this report, and why.
    """

    kind: ReportType
    scope: Scope
    period: Period
    created_at: datetime
    accounts: tuple[AccountLine, ...]
    performance: Performance
    by_account: Mapping[str, Performance]
    previous: Performance
    longer: Performance | None
    positions: tuple[HeldPosition, ...]
    orders: tuple[FilledOrder, ...]
    symbols: tuple[SymbolResult, ...]
    risks: tuple[RiskLine, ...]
    signals: SignalCount | None
    strategies: tuple[StoredStrategy, ...]
    timeframes: tuple[StoredTimeframe, ...]
    allocation: Allocation | None
    curve: Curve
    history: RunHistory
    trend: tuple[TrendPoint, ...] = ()
    undelivered: tuple[tuple[str, str], ...] = ()
    flaws: tuple[str, ...] = ()

    @property
    def equity(self) -> Decimal | None:
        """Of all accounts, by their newest balances; None where none has one."""
        known = [one.balance.equity for one in self.accounts if one.balance is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def title(self) -> str:
        """``Daily report 2026-11-22``."""
        return f"{self.kind.capitalize()} report {self.period.words}"

    def with_flaws(self, *flaws: str) -> Report:
        """Return it with more that is missing."""
        return replace(self, flaws=(*self.flaws, *flaws))
