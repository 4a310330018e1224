"""What is out of bounds: the bounds, which are settings, and the figures held against them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, Field, model_validator

from lib.health.figures import QueueState, ServerFigures, StoreFigures, TaskFigures
from lib.health.speeds import Speed
from lib.results import render_count

FEW_RUNS = 10  # of a task; of fewer neither a rate nor a median says anything
MEGABYTE = 1_000_000
GIGABYTE = 1000 * MEGABYTE


class HealthBounds(BaseModel):
    """The bounds as settings (`FKS_HEALTH_…`)."""

    health_max_failed_pct: Annotated[Decimal, Field(gt=0, le=100)] = Field(
        Decimal(10), description="Of a task's runs in 24 hours; more failed ones are a problem."
    )
    health_fast_seconds: Annotated[float, Field(gt=0)] = Field(5, description="Half of a fast task's runs are quicker.")
    health_medium_seconds: Annotated[float, Field(gt=0)] = Field(15, description="The same of medium tasks.")
    health_max_queue_depth: Annotated[int, Field(ge=1)] = Field(20, description="Runs that are due, in one queue.")
    health_max_late_minutes: Annotated[int, Field(ge=1)] = Field(
        30, description="A run that is due for longer and has not begun is a problem."
    )
    health_max_missed_candles: Annotated[int, Field(ge=1)] = Field(
        3, description="Closed candles that a symbol that trades may be behind."
    )
    health_max_balance_age_minutes: Annotated[int, Field(ge=15)] = Field(
        60, description="Of an account's newest balance."
    )
    health_min_strategies: Annotated[int, Field(ge=0)] = Field(1, description="Fewer that give signals are a problem.")
    health_max_database_gb: Annotated[Decimal, Field(gt=0)] = Field(
        Decimal(50), description="Of each database: ours, and Prefect's on the same server."
    )
    health_max_growth_mb: Annotated[Decimal, Field(gt=0)] = Field(
        Decimal(1000), description="What a database may grow by in a day."
    )
    health_max_backlog_minutes: Annotated[int, Field(ge=1)] = Field(
        60, description="Age of the oldest message that a channel has still to take."
    )

    @model_validator(mode="after")
    def _classes_are_in_order(self) -> Self:
        if self.health_fast_seconds > self.health_medium_seconds:
            raise ValueError(
                f"health_fast_seconds {self.health_fast_seconds:g} is above health_medium_seconds "
                f"{self.health_medium_seconds:g}; swap them"
            )
        return self


class Breach(NamedTuple):
    """A bound that is passed: which, with the figures, and what to do."""

    key: str
    what: str
    remedy: str


def find_breaches(
    server: ServerFigures | None, store: StoreFigures, bounds: HealthBounds, now: datetime
) -> list[Breach]:
    """Return everything that is out of bounds.

    Args:
        server: None when the orchestrator did not answer, which is not judged here.
        store: The database.
        bounds: Of the settings.
        now: UTC.
    """
    return [
        *([] if server is None else _judge_server(server, bounds, now)),
        *_judge_candles(store, bounds),
        *_judge_accounts(store, bounds, now),
        *_judge_strategies(store, bounds),
        *_judge_sizes(store, bounds, now),
        *_judge_backlog(store, bounds, now),
    ]


def _judge_server(server: ServerFigures, bounds: HealthBounds, now: datetime) -> Iterator[Breach]:
    for task in server.tasks:
        if task.ended >= FEW_RUNS:
            yield from _judge_task(task, bounds)
    yield from judge_state(server.state, bounds, now)


def _judge_task(task: TaskFigures, bounds: HealthBounds) -> Iterator[Breach]:
    if task.failed_pct > bounds.health_max_failed_pct:
        yield Breach(
            f"failing {task.task}",
            f"{task.task} failed in {task.failed} of {render_count(task.ended, 'runs')} "
            f"({task.failed_pct:.0f} %, at most {bounds.health_max_failed_pct.normalize():f} %)",
            "`fks doctor` lists the last failures with their errors",
        )
    limits = {Speed.FAST: bounds.health_fast_seconds, Speed.MEDIUM: bounds.health_medium_seconds}
    limit = limits.get(task.speed)
    if limit is not None and task.median_seconds > limit:
        yield Breach(
            f"slow {task.task}",
            f"{task.task} takes {task.median_seconds:.1f} s (median of {render_count(task.ended, 'runs')}; it is "
            f"{task.speed}: at most {limit:g} s)",
            "see what the machine is busy with, and in the runs' logs what they wait for",
        )


def judge_state(state: QueueState, bounds: HealthBounds, now: datetime) -> Iterator[Breach]:
    """Yield what is out of bounds of pool, queues and workers."""
    if state.pool == "missing":
        yield Breach("pool", "there is no work pool, so nothing runs", "`fks up` or `fks apply` makes it")
        return
    if not any(worker.is_online for worker in state.workers):
        yield Breach("workers", "no worker reports itself, so nothing runs", "`fks up` starts one")
    if state.pool == "paused":
        yield Breach("pool", "the work pool is paused, so nothing runs", "resume it in the UI (Work Pools)")
    for queue in state.queues:
        if queue.is_paused:
            yield Breach(
                f"paused {queue.name}", f"the queue {queue.name} is paused", "resume it in the UI (Work Pools, fks)"
            )
        if queue.waiting > bounds.health_max_queue_depth:
            yield Breach(
                f"deep {queue.name}",
                f"{render_count(queue.waiting, 'due runs')} wait in the queue {queue.name} (at most "
                f"{bounds.health_max_queue_depth})",
                "cancel the run that hangs, or those that are not wanted any more",
            )
        late = now - queue.oldest_due_at if queue.oldest_due_at else timedelta()
        if late > timedelta(minutes=bounds.health_max_late_minutes):
            yield Breach(
                f"late {queue.name}",
                f"a run of the queue {queue.name} is {late // timedelta(minutes=1)} minutes late (at most "
                f"{bounds.health_max_late_minutes})",
                "see what runs in that queue; cancel a run that hangs",
            )


def _judge_candles(store: StoreFigures, bounds: HealthBounds) -> Iterator[Breach]:
    for one in store.timeframes:
        is_behind = one.behind is not None and one.behind > bounds.health_max_missed_candles
        if is_behind or (one.behind is None and one.laggard in one.failing):
            many = "every candle" if one.behind is None else f"the newest {render_count(one.behind, 'candles')}"
            yield Breach(
                f"candles {one.timeframe}",
                f"{one.laggard} lacks {many} of {one.timeframe} (at most {bounds.health_max_missed_candles})",
                "see `sync_market_data` in the runs of critical-path; `fks doctor` has the command that repairs gaps",
            )


def _judge_accounts(store: StoreFigures, bounds: HealthBounds, now: datetime) -> Iterator[Breach]:
    for one in store.accounts:
        if one.at is not None and now - one.at > timedelta(minutes=bounds.health_max_balance_age_minutes):
            yield Breach(
                f"balance {one.account}",
                f"the newest balance of {one.account} is {(now - one.at) // timedelta(minutes=1)} minutes old (at most "
                f"{bounds.health_max_balance_age_minutes})",
                "see `sync_account_balance` in the runs of signal-generation",
            )


def _judge_strategies(store: StoreFigures, bounds: HealthBounds) -> Iterator[Breach]:
    if store.known_strategies and len(store.strategies) < bounds.health_min_strategies:
        yield Breach(
            "strategies",
            f"{render_count(len(store.strategies), 'strategies')} of {store.known_strategies} give signals (at least "
            f"{bounds.health_min_strategies})",
            "see why they were disabled (strategy_changes); set-strategy-state switches one on",
        )


def _judge_sizes(store: StoreFigures, bounds: HealthBounds, now: datetime) -> Iterator[Breach]:
    for one in store.sizes:
        if one.size_bytes > bounds.health_max_database_gb * GIGABYTE:
            yield Breach(
                f"size {one.name}",
                f"{one.name} has {one.size_bytes / GIGABYTE:.1f} GB (at most "
                f"{bounds.health_max_database_gb.normalize():f})",
                "shorten the retention (FKS_CANDLE_RETENTION_DAYS), or raise the bound",
            )
        growth = one.find_growth(now.date())
        if growth is not None and growth > bounds.health_max_growth_mb * MEGABYTE:
            yield Breach(
                f"growth {one.name}",
                f"{one.name} grew by {growth / MEGABYTE:.0f} MB a day (at most "
                f"{bounds.health_max_growth_mb.normalize():f})",
                "the artifact of data-management shows which table it is",
            )


def _judge_backlog(store: StoreFigures, bounds: HealthBounds, now: datetime) -> Iterator[Breach]:
    oldest_at = store.backlog.oldest_at
    if oldest_at is not None and now - oldest_at > timedelta(minutes=bounds.health_max_backlog_minutes):
        yield Breach(
            "backlog",
            f"{render_count(store.backlog.waiting, 'messages')} wait for a channel, the oldest for "
            f"{(now - oldest_at) // timedelta(minutes=1)} minutes (at most {bounds.health_max_backlog_minutes})",
            "`fks doctor` says which channel does not answer",
        )
