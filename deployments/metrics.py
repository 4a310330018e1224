"""The platform's figures in Prometheus' exposition format: printed once, or served to whoever scrapes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from deployments import halting
from deployments.environment import find_login
from deployments.health_view import load_health
from deployments.prefect_api import PrefectApi
from deployments.status import find_database
from lib.errors import FksError, SettingsError
from lib.health.figures import HealthRecord, QueueState, ServerFigures, StoreFigures
from lib.settings import Settings

Load = Callable[[], HealthRecord]


def read_record(settings: Settings, folder: Path) -> HealthRecord:
    """Return the record as of now, as `fks status` shows it; how tasks ended is of the last `platform-health`.

    Raises:
        FksError: The database does not run, or is not of this version.
    """
    database = find_database(settings, folder)
    if database is None:
        raise SettingsError(f"The database of {folder} does not run. `fks up` starts it, or set FKS_DATABASE_URL.")
    try:
        server = halting.find_server(folder)
    except SettingsError:
        return load_health(settings, None, database, datetime.now(UTC))[0]
    with PrefectApi(server, find_login(), patience_seconds=8) as api:  # a scrape waits ten seconds
        return load_health(settings, api, database, datetime.now(UTC))[0]


def render_metrics(load: Load) -> str:
    """Return every metric as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HealthCollector(load))
    return generate_latest(registry).decode()


def serve_metrics(load: Load, host: str, port: int, stopping: threading.Event) -> None:
    """Answer scrapes with the figures of that moment, until `stopping` is set.

    Raises:
        OSError: The port is taken.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HealthCollector(load))
    server, thread = start_http_server(port, addr=host, registry=registry)
    stopping.wait()
    server.shutdown()
    thread.join()


class HealthCollector(Collector):
    """Reads the record at each scrape; where it cannot be read, `fks_up` is 0 and everything else is absent."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every metric."""
        try:
            record = self._load()
        except FksError:
            yield GaugeMetricFamily("fks_up", "Whether the database answers", value=0)
            return
        yield GaugeMetricFamily("fks_up", "Whether the database answers", value=1)
        yield GaugeMetricFamily("fks_problems", "Figures that are out of bounds", value=len(record.standing))
        yield GaugeMetricFamily(
            "fks_server_up", "Whether the Prefect server answers", value=int(not record.server_error)
        )
        yield from _collect_store(record.store, record.at)
        if record.server is not None:
            yield from _collect_runs(record.server)
        if record.server is not None and not record.server_error:
            yield from _collect_state(record.server.state, record.at)


def _collect_store(store: StoreFigures, now: datetime) -> Iterator[GaugeMetricFamily]:
    behind = _gauge("fks_candles_behind", "Closed candles that the symbol furthest behind lacks", "timeframe")
    failing = _gauge("fks_series_failing", "Symbols whose last synchronisation failed", "timeframe")
    gaps = _gauge("fks_series_with_gaps", "Symbols that miss candles in between", "timeframe")
    for one in store.timeframes:
        if one.behind is not None:
            behind.add_metric([one.timeframe], one.behind)
        failing.add_metric([one.timeframe], len(one.failing))
        gaps.add_metric([one.timeframe], one.open_gaps)
    yield from (behind, failing, gaps)
    yield from _collect_accounts(store, now)
    size = _gauge("fks_database_size_bytes", "Size of a database", "database")
    for database in store.sizes:
        size.add_metric([database.name], database.size_bytes)
    yield size
    backlog, archive = store.backlog, store.archive
    oldest = (now - backlog.oldest_at).total_seconds() if backlog.oldest_at else 0
    for name, words, value in (
        ("fks_strategies_active", "Strategies that give signals", len(store.strategies)),
        ("fks_messages_waiting", "Messages that a channel has still to take", backlog.waiting),
        ("fks_messages_oldest_seconds", "Age of the oldest of them", oldest),
        ("fks_messages_undelivered", "Messages of three days that nobody got", backlog.undelivered),
        ("fks_archive_files", "Files of the archive", archive.files),
        ("fks_archive_size_bytes", "Size of the archive", archive.size_bytes),
    ):
        yield GaugeMetricFamily(name, words, value=value)


def _collect_accounts(store: StoreFigures, now: datetime) -> Iterator[GaugeMetricFamily]:
    labels = ("account", "quote_asset")
    equity = _gauge("fks_equity", "Equity of the newest balance, in the quote asset", *labels)
    age = _gauge("fks_balance_age_seconds", "Age of the newest balance", *labels)
    positions = _gauge("fks_open_positions", "Open positions", *labels)
    trades = _gauge("fks_executions_24h", "Executions of the last 24 hours", *labels)
    traded = _gauge("fks_traded_24h", "Their notional, in the quote asset", *labels)
    for one in store.accounts:
        named = [one.account, one.quote_asset]
        if one.equity is not None and one.at is not None:
            equity.add_metric(named, float(one.equity))
            age.add_metric(named, (now - one.at).total_seconds())
        positions.add_metric(named, one.positions)
        trades.add_metric(named, one.trades)
        traded.add_metric(named, float(one.traded_quote))
    yield from (equity, age, positions, trades, traded)


def _collect_state(state: QueueState, now: datetime) -> Iterator[GaugeMetricFamily]:
    waiting = _gauge("fks_queue_waiting", "Runs that are due and have not begun", "queue")
    running = _gauge("fks_queue_running", "Runs at work", "queue")
    late = _gauge("fks_queue_oldest_wait_seconds", "How long the first of the waiting runs has waited", "queue")
    for queue in state.queues:
        waiting.add_metric([queue.name], queue.waiting)
        running.add_metric([queue.name], queue.running)
        late.add_metric([queue.name], (now - queue.oldest_due_at).total_seconds() if queue.oldest_due_at else 0)
    yield from (waiting, running, late)
    online = sum(worker.is_online for worker in state.workers)
    yield GaugeMetricFamily("fks_workers_online", "Workers that report themselves", value=online)


def _collect_runs(server: ServerFigures) -> Iterator[GaugeMetricFamily]:
    """Yield how tasks and flows ended, as gauges: they are of a moving window, so they fall too."""
    until = GaugeMetricFamily(
        "fks_runs_counted_timestamp_seconds",
        "End of the 24 hours that runs are counted in",
        value=server.until.timestamp(),
    )
    runs = _gauge("fks_task_runs_24h", "Task runs that ended, by how", "task", "class", "outcome")
    seconds = _gauge("fks_task_seconds_24h", "How long task runs took", "task", "class", "quantile")
    for task in server.tasks:
        named = [task.task, task.speed.value]
        runs.add_metric([*named, "failed"], task.failed)
        runs.add_metric([*named, "succeeded"], task.ended - task.failed)
        for quantile, value in (("0.5", task.median_seconds), ("0.95", task.p95_seconds), ("1", task.longest_seconds)):
            seconds.add_metric([*named, quantile], value)
    flows = _gauge("fks_flow_runs_24h", "Flow runs that ended, by how", "flow", "outcome")
    for flow in server.flows:
        flows.add_metric([flow.flow, "failed"], flow.failed)
        flows.add_metric([flow.flow, "partial"], flow.partial)
        flows.add_metric([flow.flow, "skipped"], flow.skipped)
        flows.add_metric([flow.flow, "completed"], flow.ended - flow.failed - flow.partial - flow.skipped)
    yield from (until, runs, seconds, flows)


def _gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, labels=labels)
