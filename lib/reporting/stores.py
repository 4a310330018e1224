"""What reports ask of the database and keep there.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from lib.balances.snapshots import Snapshot
from lib.notifications.messages import Message


@dataclass(frozen=True)
class RiskLine:
    """What the last analysis found of an account; ratios of equity, a loss positive, a drawdown at or below zero.

    Attributes:
        account: Whose.
        at: When.
        level: "NONE", "LOW", "MEDIUM" or "HIGH".
        fired: The rules that fired.
        exposure_ratio: What is invested; None where equity is not above zero.
        loss_ratio: Unrealized loss.
        largest_symbol: The largest holding; None without any.
        largest_share: Its market value.
        var_95: Value at risk of a day; None without enough data.
        drawdown_ratio: From the peak, now.
    """

    account: str
    at: datetime
    level: str
    fired: tuple[str, ...]
    exposure_ratio: Decimal | None
    loss_ratio: Decimal | None
    largest_symbol: str | None
    largest_share: Decimal | None
    var_95: float | None
    drawdown_ratio: Decimal | None


@dataclass(frozen=True)
class BuySignal:
    """A BUY of a strategy; prices quote per base, confidence 0 to 1."""

    created_at: datetime
    strategy: str
    symbol: str
    timeframe: str
    price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    confidence: float | None


@dataclass(frozen=True)
class SignalCount:
    """What the strategies said in a period.

    Attributes:
        buys: How many BUYs.
        decisions: How often a strategy decided on a symbol, BUYs included.
        newest: The newest BUYs, newest first.
    """

    buys: int
    decisions: int
    newest: tuple[BuySignal, ...]


@dataclass(frozen=True)
class StoredTimeframe:
    """What is stored of one timeframe's candles.

    Attributes:
        timeframe: "1h".
        newest_at: Open time of the newest candle by symbol; None without any.
        failing: Symbols whose last synchronisation failed.
        with_gaps: How many symbols miss candles in between that are still asked for.
    """

    timeframe: str
    newest_at: Mapping[str, datetime | None]
    failing: tuple[str, ...]
    with_gaps: int


@dataclass(frozen=True)
class WrittenReport:
    """A report as it is kept.

    Attributes:
        kind: "daily", "weekly", "monthly".
        account: Its account; empty: all.
        last_day: Of its period.
        created_at: UTC.
        headline: Its one line.
        markdown: Its text.
        path: Its HTML file; None where that could not be written.
        flaws: What is missing in it, and why.
    """

    kind: str
    account: str
    last_day: date
    created_at: datetime
    headline: str
    markdown: str
    path: str | None
    flaws: tuple[str, ...]


class ReportStore(Protocol):
    """What there is to report, and the reports that were written."""

    def load_last_balance(self, account: str) -> Snapshot | None:
        """Return the account's newest snapshot, however old."""
        ...

    def load_risk(self, account: str) -> RiskLine | None:
        """Return what the newest analysis found of the account."""
        ...

    def load_signals(self, start: datetime, end: datetime, limit: int) -> SignalCount:
        """Return what strategies said in [start, end), with the newest BUYs, at most so many."""
        ...

    def load_timeframes(self) -> Sequence[StoredTimeframe]:
        """Return what is stored of each timeframe, the shortest first."""
        ...

    def save_report(self, report: WrittenReport, message: Message) -> bool:
        """Store a report in place of the same kind's, account's and last day's, and the message that brings it.

        All or nothing. False when a message with its key was recorded before; the report is stored all the same.
        """
        ...
