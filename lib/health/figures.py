"""What there is to watch: runs, queues and workers of the orchestrator; freshness, equity and sizes of the database.

The whole record is stored as JSON, so everything here is a pydantic model. Every instant is UTC.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from lib.health.speeds import Speed


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class TaskFigures(_Record):
    """The ended runs of one task in the watched time; the seconds are those it worked, retries included.

    Attributes:
        task: "sync_market_data".
        speed: The class it belongs to.
        ended: How many ended.
        failed: How many of these failed or crashed.
        median_seconds: Half of the runs took no longer.
        p95_seconds: 95 of 100 took no longer.
        longest_seconds: The longest.
    """

    task: str
    speed: Speed
    ended: int
    failed: int
    median_seconds: float
    p95_seconds: float
    longest_seconds: float

    @property
    def failed_pct(self) -> float:
        """How many of a hundred failed, 0 to 100."""
        return 100 * self.failed / self.ended


class FlowFigures(_Record):
    """The ended runs of one flow in the watched time; `failed` ones crashed or timed out, too."""

    flow: str
    ended: int
    failed: int
    partial: int
    skipped: int
    median_seconds: float
    longest_seconds: float


class QueueFigures(_Record):
    """One queue now: runs that are due and have not begun, and runs at work.

    Attributes:
        name: "critical".
        at_once: The most runs at the same time; None means any number.
        waiting: Due, and not begun.
        running: Begun, or about to.
        oldest_due_at: When the first of the waiting ones was due.
        is_paused: Whether somebody paused it.
    """

    name: str
    at_once: int | None
    waiting: int
    running: int
    oldest_due_at: datetime | None
    is_paused: bool


class WorkerFigures(_Record):
    """A worker of the pool, as it last reported itself."""

    name: str
    is_online: bool
    seen_at: datetime


class QueueState(_Record):
    """The pool now. `pool` is the server's word for its state, as "ready", "not_ready" or "paused"."""

    pool: str
    queues: tuple[QueueFigures, ...]
    workers: tuple[WorkerFigures, ...]


class ServerFigures(_Record):
    """What the orchestrator tells.

    Attributes:
        since: Runs that began from then on were looked at.
        until: Until then.
        state: The pool now.
        flows: By flow's name.
        tasks: By task's name.
        is_whole: False when there were more runs than were looked at: the newest were.
    """

    since: datetime
    until: datetime
    state: QueueState
    flows: tuple[FlowFigures, ...] = ()
    tasks: tuple[TaskFigures, ...] = ()
    is_whole: bool = True


class TimeframeFigures(_Record):
    """How fresh the candles of one timeframe are; only symbols that trade count.

    Attributes:
        timeframe: "1h".
        series: How many symbols are kept.
        newest_at: Open time of the newest candle of the symbol that is furthest behind; None where one has none.
        behind: Closed candles that it lacks; None where it has none at all.
        laggard: That symbol.
        failing: Symbols whose last synchronisation failed.
        open_gaps: Symbols that miss candles in between that are still asked for.
    """

    timeframe: str
    series: int
    newest_at: datetime | None
    behind: int | None
    laggard: str
    failing: tuple[str, ...]
    open_gaps: int


class AccountFigures(_Record):
    """What an account is worth, and what it traded in the last 24 hours; amounts are in its quote asset.

    Attributes:
        account: Whose.
        quote_asset: "USDT".
        equity: Of its newest snapshot; None before the first one.
        at: Of that snapshot.
        positions: Open ones.
        trades: Executions of the last 24 hours.
        traded_quote: Their notional.
    """

    account: str
    quote_asset: str
    equity: Decimal | None
    at: datetime | None
    positions: int
    trades: int
    traded_quote: Decimal


class SizeFigures(_Record):
    """How large a database is, and was when `archive_old_data` measured it on that day, the last one before today."""

    name: str
    size_bytes: int
    measured_bytes: int | None
    measured_on: date | None

    def find_growth(self, today: date) -> float | None:
        """Return how many bytes a day it has grown since; None where it was not measured."""
        if self.measured_bytes is None or self.measured_on is None:
            return None
        return (self.size_bytes - self.measured_bytes) / max(1, (today - self.measured_on).days)


class BacklogFigures(_Record):
    """Messages of the last three days that a channel has still to take; held ones (quiet hours) do not count."""

    waiting: int
    oldest_at: datetime | None
    undelivered: int


class ArchiveFigures(_Record):
    """What the archive has; `month` is the first day of the newest month in it."""

    files: int
    rows: int
    size_bytes: int
    month: date | None
    written_at: datetime | None


class StoreFigures(_Record):
    """What the database tells. `strategies` give signals, of `known_strategies`; sizes: ours first, then Prefect's."""

    timeframes: tuple[TimeframeFigures, ...]
    accounts: tuple[AccountFigures, ...]
    strategies: tuple[str, ...]
    known_strategies: int
    sizes: tuple[SizeFigures, ...]
    backlog: BacklogFigures
    archive: ArchiveFigures


class Problem(_Record):
    """Something that is out of bounds.

    Attributes:
        key: Which, as "slow sync_market_data": it is the same problem in the next hour.
        what: With the figure and the bound.
        remedy: What to do.
        since: When it was first seen.
        is_gone: It was not seen in the newest record; when it is not in the next one either, it is over.
    """

    key: str
    what: str
    remedy: str
    since: datetime
    is_gone: bool = False


class HealthRecord(_Record):
    """Everything at one instant.

    Attributes:
        at: When.
        server: None when the orchestrator did not answer.
        server_error: Why.
        store: The database.
        problems: What is out of bounds, or was an hour ago.
    """

    at: datetime
    server: ServerFigures | None
    server_error: str = ""
    store: StoreFigures
    problems: tuple[Problem, ...] = ()

    @property
    def standing(self) -> tuple[Problem, ...]:
        """The problems that there are now."""
        return tuple(one for one in self.problems if not one.is_gone)
