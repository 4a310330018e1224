"""Gathering what a report says. What cannot be had is left out and named: the rest still goes out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TypeVar

from lib.allocation.drift import Allocation, measure_allocation
from lib.allocation.targets import TargetRules
from lib.balances.breaks import BreakState
from lib.balances.stores import BalanceStore
from lib.errors import FksError, RetryableError
from lib.notifications.outbox import DeliveryQueue
from lib.performance.calculating import ALL, REACH, Track, combine_tracks, load_track, load_trend
from lib.performance.growth import cut_points
from lib.performance.performance import Performance, Scope, measure_performance
from lib.performance.period import Period, find_period
from lib.performance.stores import PerformanceStore
from lib.portfolio.accounts import Account
from lib.portfolio.state import StateStore
from lib.portfolio.stores import HeldPosition, MarketFacts, PortfolioStore
from lib.reporting.parts import join_states, sum_symbols, trace_curve, value_of
from lib.reporting.report import AccountLine, Curve, Report, ReportType
from lib.reporting.runs import RunHistory
from lib.reporting.stores import ReportStore, RiskLine
from lib.risk.drawdown import EquityStore
from lib.strategy.stores import StrategyStore

LONGER_DAYS = 30
MAX_ORDERS = 10
MAX_BUYS = 10
MAX_UNDELIVERED = 100
DELIVERED_WITHIN = timedelta(minutes=15)
T = TypeVar("T")
Other = TypeVar("Other")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """Where a report's contents come from.

    Attributes:
        reports: Last balances, risk, signals, candles.
        equity: The history of accounts' equity.
        performance: Fills, and what else the ledger is made of.
        portfolio: Open positions.
        states: What accounts hold.
        balances: Breaks.
        strategies: As they stand.
        market: Prices of the past.
        outbox: What reached nobody.
        targets: How equity is to be split.
        band: What may be off, ratio of equity.
        refused: Why an account cannot be used, by name.
    """

    reports: ReportStore
    equity: EquityStore
    performance: PerformanceStore
    portfolio: PortfolioStore
    states: StateStore
    balances: BalanceStore
    strategies: StrategyStore
    market: MarketFacts
    outbox: DeliveryQueue
    targets: TargetRules
    band: Decimal
    refused: Mapping[str, FksError]


class Gathering:
    """One report in the making: each part by itself, with the reason where it cannot be had."""

    def __init__(self, sources: Sources, now: datetime) -> None:
        self.sources, self.now = sources, now
        self.flaws: list[str] = []

    def attempt(self, what: str, work: Callable[[], T], otherwise: Other) -> T | Other:
        """Return what the work returns, else `otherwise`, with the reason among the flaws."""
        try:
            return work()
        except RetryableError:
            raise
        except Exception as error:  # counted as a flaw: the rest of the report goes out
            logger.exception("The report is without %s", what)
            why = str(error) if isinstance(error, FksError) else f"unexpected {type(error).__name__}"
            self.flaws.append(f"{what}: {why}")
            return otherwise


def gather_report(
    kind: ReportType, accounts: Sequence[Account], sources: Sources, history: RunHistory, now: datetime
) -> Report:
    """Gather a report of the accounts together.

    Args:
        kind: How long its period is.
        accounts: At least one, of one quote asset.
        sources: Where everything comes from.
        history: The period's runs.
        now: As of when.

    Raises:
        RetryableError: The database went away.
    """
    gathering = Gathering(sources, now)
    period = find_period(now, kind.days)
    scope = Scope(accounts[0].name if len(accounts) == 1 else ALL, accounts[0].quote_asset)
    tracks = _load_tracks(gathering, accounts, period, kind)
    track = combine_tracks(tracks)
    charted = cut_points(track.points, now - timedelta(days=kind.chart_days), now + timedelta(days=1))
    positions = [one for account in accounts for one in _load_positions(gathering, account)]
    within = [order for order in track.orders if period.start <= order.at < period.end]
    realized = [one for one in track.realized if period.start <= one.at < period.end]
    attempt, reports, longer = gathering.attempt, sources.reports, Period(period.last_day, LONGER_DAYS)
    report = Report(
        kind=kind,
        scope=scope,
        period=period,
        created_at=now,
        accounts=tuple(_load_line(gathering, account) for account in accounts),
        performance=_measure(gathering, scope, period, track),
        by_account={
            name: _measure(gathering, Scope(name, scope.quote_asset), period, of_it) for name, of_it in tracks.items()
        },
        previous=_measure(gathering, scope, period.previous, track),
        longer=_measure(gathering, scope, longer, track) if kind.days < LONGER_DAYS else None,
        positions=tuple(sorted(positions, key=lambda one: -value_of(one))),
        orders=tuple(reversed(track.orders[-MAX_ORDERS:])),
        symbols=sum_symbols(within, realized, positions),
        risks=tuple(risk for account in accounts if (risk := _load_risk(gathering, account)) is not None),
        signals=attempt("signals", lambda: reports.load_signals(period.start, now, MAX_BUYS), None),
        strategies=attempt("strategies", lambda: tuple(sources.strategies.load_strategies()), ()),
        timeframes=attempt("freshness of candles", lambda: tuple(reports.load_timeframes()), ()),
        allocation=attempt("allocation", lambda: _measure_allocation(accounts, sources), None),
        curve=attempt("curve of equity", lambda: trace_curve(charted, scope, sources.market), Curve((), (), ())),
        history=history,
        trend=attempt("trend", lambda: tuple(load_trend(scope, longer, sources.performance)), ()),
        undelivered=attempt("undelivered messages", lambda: _load_undelivered(sources, period, now), ()),
    )
    return report.with_flaws(*gathering.flaws)


def _load_tracks(
    gathering: Gathering, accounts: Sequence[Account], period: Period, kind: ReportType
) -> dict[str, Track]:
    """Return the past of each account; one that cannot be read is named."""
    sources = gathering.sources
    since = min(period.previous.start, gathering.now - timedelta(days=max(LONGER_DAYS, kind.chart_days))) - REACH
    tracks: dict[str, Track] = {}
    for account in accounts:
        track = gathering.attempt(
            f"history of {account.name}",
            partial(load_track, account.name, since, equity=sources.equity, store=sources.performance),
            None,
        )
        if track is not None:
            tracks[account.name] = track
    return tracks


def _load_line(gathering: Gathering, account: Account) -> AccountLine:
    sources, name = gathering.sources, account.name
    balance = gathering.attempt(f"balance of {name}", lambda: sources.reports.load_last_balance(name), None)
    breaks = gathering.attempt(f"breaks of {name}", lambda: sources.balances.load_active_breaks(name), ())
    return AccountLine(
        name=name,
        kind=account.kind.value,
        quote_asset=account.quote_asset,
        balance=balance,
        refused=str(sources.refused[name]) if name in sources.refused else None,
        breaks=tuple(one for one in breaks if one.state is BreakState.OPEN),
    )


def _load_positions(gathering: Gathering, account: Account) -> Sequence[HeldPosition]:
    return gathering.attempt(
        f"positions of {account.name}", lambda: gathering.sources.portfolio.load_held(account.name), ()
    )


def _load_risk(gathering: Gathering, account: Account) -> RiskLine | None:
    return gathering.attempt(f"risk of {account.name}", lambda: gathering.sources.reports.load_risk(account.name), None)


def _measure(gathering: Gathering, scope: Scope, period: Period, track: Track) -> Performance:
    market = gathering.sources.market

    def measure() -> Performance:
        return measure_performance(scope, period, points=track.points, orders=track.orders, market=market)

    nothing = measure_performance(scope, period, points=(), orders=(), market=market)
    return gathering.attempt(f"performance of {period.words}", measure, nothing)


def _measure_allocation(accounts: Sequence[Account], sources: Sources) -> Allocation | None:
    states = [state for account in accounts if (state := sources.states.load_state(account.name)) is not None]
    portfolio = join_states(states, sources.targets)
    return measure_allocation(portfolio, sources.targets, sources.band) if portfolio.equity > 0 else None


def _load_undelivered(sources: Sources, period: Period, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return what reached nobody though a chain has delivered since."""
    found = sources.outbox.load_undelivered(period.start, MAX_UNDELIVERED)
    return tuple((one.title, one.reason) for one in found if now - one.created_at > DELIVERED_WITHIN)
