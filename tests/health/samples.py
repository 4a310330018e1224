"""Figures in which everything is within its bounds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from lib.health.figures import (
    AccountFigures,
    ArchiveFigures,
    BacklogFigures,
    QueueFigures,
    QueueState,
    ServerFigures,
    SizeFigures,
    StoreFigures,
    TaskFigures,
    TimeframeFigures,
    WorkerFigures,
)
from lib.health.speeds import Speed

NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
WORKER = WorkerFigures(name="fks-local", is_online=True, seen_at=NOW)
QUEUE = QueueFigures(name="default", at_once=2, waiting=1, running=2, oldest_due_at=NOW, is_paused=False)
STATE = QueueState(pool="ready", queues=(QUEUE,), workers=(WORKER,))
TASK = TaskFigures(
    task="check_stop_loss",
    speed=Speed.FAST,
    ended=288,
    failed=3,
    median_seconds=0.4,
    p95_seconds=1.5,
    longest_seconds=130,
)
SERVER = ServerFigures(since=NOW - timedelta(days=1), until=NOW, state=STATE, tasks=(TASK,))
CANDLES = TimeframeFigures(
    timeframe="1h", series=10, newest_at=NOW, behind=0, laggard="ADA/USDT", failing=(), open_gaps=0
)
ACCOUNT = AccountFigures(
    account="demo",
    quote_asset="USDT",
    equity=Decimal("10123.4"),
    at=NOW - timedelta(minutes=15),
    positions=3,
    trades=2,
    traded_quote=Decimal(500),
)
SIZE = SizeFigures(name="fks", size_bytes=2_000_000_000, measured_bytes=1_900_000_000, measured_on=date(2026, 3, 1))
BACKLOG = BacklogFigures(waiting=1, oldest_at=NOW - timedelta(minutes=2), undelivered=0)
STORE = StoreFigures(
    timeframes=(CANDLES,),
    accounts=(ACCOUNT,),
    strategies=("breakout",),
    known_strategies=4,
    sizes=(SIZE,),
    backlog=BACKLOG,
    archive=ArchiveFigures(files=12, rows=9000, size_bytes=1_000_000, month=date(2025, 12, 1), written_at=NOW),
)
