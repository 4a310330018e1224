"""Calculating the metrics of accounts, and keeping them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tabulate import tabulate

from lib.errors import RetryableError
from lib.performance.growth import combine_points
from lib.performance.performance import Performance, Scope, measure_performance
from lib.performance.period import Period, find_period
from lib.performance.stores import PerformanceStore
from lib.performance.trades import FilledOrder, replay_orders
from lib.performance.trend import TrendPoint, is_trend, list_trend_days
from lib.performance.wording import (
    TREND_NAMES,
    UNKNOWN,
    describe_performance,
    describe_trend,
    format_change,
    format_gain,
)
from lib.portfolio.accounts import Account
from lib.portfolio.ledger import Realized
from lib.portfolio.stores import MarketFacts
from lib.ports import Clock
from lib.results import Item, Status, TaskResult, calc_status, failed_item, render_count
from lib.risk.drawdown import EquityPoint, EquityStore

TASK = "calculate_metrics"
ALL = ""
REACH = timedelta(days=7)
"""How long before a period its opening equity may lie: so long an outage makes no account look younger."""
logger = logging.getLogger(__name__)


class MetricsResult(TaskResult):
    """The result of `calculate_metrics`.

    Attributes:
        measured: The performance of each account, then of all together where there are several.
        trends: By the name of each of them, what was measured now and before, newest first.
    """

    measured: tuple[Performance, ...] = ()
    trends: Mapping[str, tuple[TrendPoint, ...]] = {}

    def render_tables(self) -> list[str]:
        """Markdown with a row a measure and a column an account; then the trend, where anything was kept before."""
        if not self.measured:
            return []
        columns = [dict(describe_performance(one)) for one in self.measured]
        names = dict.fromkeys(name for column in columns for name in column)
        rows = [(name, *(column.get(name, UNKNOWN) for column in columns)) for name in names]
        heads = [one.scope.name for one in self.measured]
        period = self.measured[0].period
        table = tabulate(rows, headers=(period.words, *heads), tablefmt="pipe", disable_numparse=True)
        return [table, *self._render_trend(period.days)]

    def _render_trend(self, days: int) -> list[str]:
        rows = [(name, *describe_trend(one)) for name, points in self.trends.items() for one in points]
        if not any(is_trend(points) for points in self.trends.values()):
            return []
        heads = ("account", *TREND_NAMES)
        table = tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)
        return [f"#### The trend: {render_count(days, 'days')} each, as measured then\n\n{table}"]


@dataclass(frozen=True)
class Track:
    """What is stored of a scope's past.

    Attributes:
        points: Its equity.
        orders: Its filled orders.
        realized: Everything that was realized, by orders and otherwise.
    """

    points: Sequence[EquityPoint]
    orders: Sequence[FilledOrder]
    realized: Sequence[Realized]


def load_track(account: str, since: datetime, *, equity: EquityStore, store: PerformanceStore) -> Track:
    """Return an account's equity since then, and all its orders."""
    return Track(equity.load_equity(account, since), *replay_orders(store.load_entries(account)))


def combine_tracks(tracks: dict[str, Track]) -> Track:
    """Return the past of several accounts together."""
    orders = sorted((order for track in tracks.values() for order in track.orders), key=lambda order: order.at)
    realized = [one for track in tracks.values() for one in track.realized]
    return Track(combine_points({name: track.points for name, track in tracks.items()}), orders, realized)


def calculate_metrics(
    *,
    accounts: Sequence[Account],
    days: int,
    equity: EquityStore,
    store: PerformanceStore,
    market: MarketFacts,
    clock: Clock,
) -> MetricsResult:
    """Measure each account over the last UTC days, and all together where there are several, and keep what was found.

    An account without two snapshots is skipped: there is nothing to measure. One that fails stops no other, but then
    there is nothing of all together.

    Args:
        accounts: At least one; all together have metrics where they have one quote asset.
        days: How many; `find_period` says which.
        equity: Their history.
        store: Their fills, and where what was measured is kept.
        market: For the benchmark.
        clock: Now.

    Raises:
        DatabaseUnavailable: Nothing was stored; trying again is safe.
        AllItemsFailed: Nothing could be measured.
    """
    started_at = clock.now()
    period = find_period(started_at, days)
    tracks: dict[str, Track] = {}
    measured: list[Performance] = []
    items: list[Item] = []

    def add(scope: Scope, track: Track) -> None:
        one = measure_performance(scope, period, points=track.points, orders=track.orders, market=market)
        measured.append(one)
        items.append(_describe(one))

    for account in accounts:
        try:
            track = load_track(account.name, period.start - REACH, equity=equity, store=store)
            add(Scope(account.name, account.quote_asset), track)
            tracks[account.name] = track
        except RetryableError:
            raise
        except Exception as error:  # counted: the other accounts have metrics all the same
            logger.exception("The metrics of %s", account.name)
            items.append(failed_item(account.name, error))
    if len(tracks) == len(accounts) > 1 and len({account.quote_asset for account in accounts}) == 1:
        add(Scope(ALL, accounts[0].quote_asset), combine_tracks(tracks))
    kept = [one for one in measured if one.stretch is not None]
    store.save_performance(kept, started_at)
    return MetricsResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={"metrics": len(kept)},
        items=tuple(items),
        started_at=started_at,
        finished_at=clock.now(),
        measured=tuple(measured),
        trends={one.scope.name: tuple(load_trend(one.scope, period, store)) for one in kept},
    )


def load_trend(scope: Scope, period: Period, store: PerformanceStore) -> Sequence[TrendPoint]:
    """Return what was kept of periods as long as this one, up to it, newest first."""
    return store.load_trend(scope.account, period.days, list_trend_days(period.last_day))


def _describe(one: Performance) -> Item:
    name = one.scope.name
    if one.stretch is None:
        detail = f"{UNKNOWN}: fewer than two balances are stored of {one.period.words}; sync_account_balance keeps them"
        return Item(name=name, status=Status.SKIPPED, detail=detail)
    gain = format_gain(one.stretch.profit, one.scope.quote_asset)
    return Item(name=name, status=Status.OK, detail=f"{format_change(one.measures.total_return)}, {gain}")
