"""The chains as the flows have them: when they run, and the functions of `lib.tasks` that their tasks call, in order.

`test_soak` holds this table to `flows` and `prefect.yaml`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.execution.halt import Halt
from lib.health.figures import QueueState, ServerFigures, WorkerFigures
from lib.platform import Platform
from lib.reporting.report import ReportType
from lib.reporting.runs import RunHistory
from lib.research.cells import Cell, try_cell
from lib.research.searching import Outcome
from lib.results import TaskResult
from lib.tasks import (
    allocation,
    archive,
    balances,
    health,
    indicators,
    market,
    news,
    notifications,
    parity,
    performance,
    portfolio,
    rebalancing,
    reconciling,
    reports,
    risk,
    searching,
    signals,
    validating,
)


@dataclass(frozen=True)
class Run:
    """What a step is given.

    Attributes:
        platform: The present one.
        key: The run's id.
        halt: Of trading, if there is one.
        history: What reports say of runs.
    """

    platform: Platform
    key: str
    halt: Halt | None
    history: RunHistory


Step = Callable[[Run], Awaitable[TaskResult]]


@dataclass(frozen=True)
class Chain:
    """One deployment.

    Attributes:
        flow: The function's name in `flows`.
        schedule: Seconds of its interval, or its cron expression.
        steps: Its tasks by name.
    """

    flow: str
    schedule: int | str
    steps: tuple[tuple[str, Step], ...]

    def is_due(self, at: datetime, since: datetime) -> bool:
        """Tell whether it is to run at an instant, having run all that was due until `since`."""
        if isinstance(self.schedule, int):
            every = timedelta(seconds=self.schedule)
            return _count(at, every) > _count(since, every)
        minute, hour, *_, weekday = self.schedule.split()
        latest = at.replace(minute=int(minute), second=0, microsecond=0)
        if hour != "*":
            latest = latest.replace(hour=int(hour))
        if latest > at:
            latest -= timedelta(hours=1) if hour == "*" else timedelta(days=1)
        return latest > since and weekday in ("*", str(latest.isoweekday() % 7))


def _count(at: datetime, every: timedelta) -> int:
    return int(at.timestamp() // every.total_seconds())


async def _search(run: Run) -> TaskResult:
    """Search in this process, where the flow maps the cells over others."""

    def work_out(cells: Sequence[Cell]) -> Generator[Outcome, None, None]:
        for cell in cells:
            yield try_cell(cell, run.platform.analysis.history)

    result, _ = await searching.run_backtest(run.platform, None, None, work_out, _say_nothing)
    return result


def _say_nothing(done: int, total: int, what: str) -> None:
    """Progress that nobody looks at."""


def _read_server(until: datetime) -> ServerFigures:
    """What a server tells whose one worker does its work: there is no server here."""
    state = QueueState(pool="ready", queues=(), workers=(WorkerFigures(name="soak", is_online=True, seen_at=until),))
    return ServerFigures(since=until - timedelta(days=1), until=until, state=state)


async def _report(run: Run, kind: ReportType) -> TaskResult:
    return await reports.generate_report(run.platform, None, kind, run.history, key=run.key)


SYNC: tuple[str, Step] = ("sync_market_data", lambda run: market.sync_market_data(run.platform))
POSITIONS: tuple[str, Step] = ("update_positions", lambda run: portfolio.update_positions(run.platform))
STOPS: tuple[str, Step] = ("check_stop_loss", lambda run: portfolio.check_stop_loss(run.platform))
SIGNALS: tuple[str, Step] = ("generate_signals", lambda run: signals.generate_signals(run.platform))
BALANCES: tuple[str, Step] = ("sync_account_balance", lambda run: balances.sync_account_balance(run.platform))
ORDERS: tuple[str, Step] = (
    "reconcile_orders",
    lambda run: reconciling.reconcile_orders(run.platform, None, run.halt),
)
INDICATORS: tuple[str, Step] = (
    "update_indicators",
    lambda run: indicators.update_indicators(run.platform, None, None),
)
RISK: tuple[str, Step] = ("analyze_risk", lambda run: risk.analyze_risk(run.platform))
UNANSWERED: tuple[str, Step] = (
    "reject_unanswered_plans",
    lambda run: rebalancing.reject_unanswered_plans(run.platform),
)
NEWS: tuple[str, Step] = ("fetch_news", lambda run: news.fetch_news(run.platform, 50))
HEALTH: tuple[str, Step] = ("check_health", lambda run: health.check_health(run.platform, _read_server))
SEARCH: tuple[str, Step] = ("run_backtest", lambda run: _search(run))
VALIDATION: tuple[str, Step] = (
    "validate_strategies",
    lambda run: validating.validate_strategies(run.platform, None, _say_nothing),
)
PARITY: tuple[str, Step] = ("check_parity", lambda run: parity.check_parity(run.platform))
ARCHIVE: tuple[str, Step] = ("archive_old_data", lambda run: archive.archive_old_data(run.platform))
PORTFOLIO: tuple[str, Step] = ("optimize_portfolio", lambda run: allocation.optimize_portfolio(run.platform))
METRICS: tuple[str, Step] = ("calculate_metrics", lambda run: performance.calculate_metrics(run.platform, None, 30))
WEEK: tuple[str, Step] = ("calculate_metrics", lambda run: performance.calculate_metrics(run.platform, None, 7))
DAILY: tuple[str, Step] = ("generate_report", lambda run: _report(run, ReportType.DAILY))
WEEKLY: tuple[str, Step] = ("generate_report", lambda run: _report(run, ReportType.WEEKLY))
MESSAGES: tuple[str, Step] = ("send_notifications", lambda run: notifications.send_notifications(run.platform))

# In the order in which those that are due together begin.
CHAINS = (
    Chain("critical_path", 300, (SYNC, POSITIONS, STOPS, MESSAGES)),
    Chain("signal_generation", 900, (SYNC, SIGNALS, BALANCES, ORDERS, MESSAGES)),
    Chain("market_analysis", 1800, (SYNC, INDICATORS, RISK, UNANSWERED, MESSAGES)),
    Chain("news", "3 * * * *", (NEWS, MESSAGES)),
    Chain("platform_health", "12 * * * *", (HEALTH, MESSAGES)),
    Chain("backtesting", "0 0 * * *", (SYNC, SEARCH)),
    Chain("strategy_validation", "0 1 * * *", (VALIDATION, PARITY, MESSAGES)),
    Chain("data_management", "0 3 * * *", (ARCHIVE, MESSAGES)),
    Chain("portfolio_optimization", "0 6 * * *", (PORTFOLIO, MESSAGES)),
    Chain("daily_metrics", "0 23 * * *", (METRICS,)),
    Chain("daily_report", "30 23 * * *", (DAILY, MESSAGES)),
    Chain("weekly_report", "0 8 * * 1", (WEEK, WEEKLY, MESSAGES)),
)
