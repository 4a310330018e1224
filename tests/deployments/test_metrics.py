"""What a Prometheus server gets to see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from deployments.metrics import read_record, render_metrics, serve_metrics
from lib.errors import DatabaseUnavailable
from lib.health.figures import FlowFigures, HealthRecord
from lib.settings import load_settings
from tests.health.samples import NOW, SERVER, STORE
from tests.prefect_servers import free_port, wait_until

FLOW = FlowFigures(
    flow="critical-path", ended=288, failed=3, partial=2, skipped=1, median_seconds=1.2, longest_seconds=131
)
RECORD = HealthRecord(at=NOW, server=SERVER.model_copy(update={"flows": (FLOW,)}), store=STORE)


def load() -> HealthRecord:
    return RECORD


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *(f"{name}={value}" for name, value in sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_every_figure_is_a_metric_with_its_labels() -> None:
    found = samples(render_metrics(load))
    task = ("class=fast", "task=check_stop_loss")
    assert {
        ("fks_up",): 1,
        ("fks_server_up",): 1,
        ("fks_problems",): 0,
        ("fks_equity", "account=demo", "quote_asset=USDT"): 10123.4,
        ("fks_balance_age_seconds", "account=demo", "quote_asset=USDT"): 900,
        ("fks_candles_behind", "timeframe=1h"): 0,
        ("fks_database_size_bytes", "database=fks"): 2e9,
        ("fks_queue_waiting", "queue=default"): 1,
        ("fks_workers_online",): 1,
        ("fks_strategies_active",): 1,
        ("fks_messages_waiting",): 1,
        ("fks_messages_oldest_seconds",): 120,
        ("fks_archive_files",): 12,
        ("fks_task_runs_24h", task[0], "outcome=failed", task[1]): 3,
        ("fks_task_runs_24h", task[0], "outcome=succeeded", task[1]): 285,
        ("fks_task_seconds_24h", task[0], "quantile=0.95", task[1]): 1.5,
        ("fks_flow_runs_24h", "flow=critical-path", "outcome=completed"): 282,
    }.items() <= found.items()


def test_of_a_server_that_does_not_answer_there_are_only_the_runs_that_were_counted_before() -> None:
    found = samples(render_metrics(lambda: RECORD.model_copy(update={"server_error": "refused"})))
    assert found["fks_server_up",] == 0
    assert not [name for name, *_ in found if name.startswith(("fks_queue", "fks_workers"))]
    assert found["fks_flow_runs_24h", "flow=critical-path", "outcome=failed"] == 3
    assert found["fks_equity", "account=demo", "quote_asset=USDT"] == 10123.4


def test_without_a_database_only_that_is_said() -> None:
    def refuse() -> HealthRecord:
        raise DatabaseUnavailable("refused")

    assert samples(render_metrics(refuse)) == {("fks_up",): 0}


@pytest.fixture
def served() -> Iterator[str]:
    port, stopping = free_port(), threading.Event()
    thread = threading.Thread(target=serve_metrics, args=(load, "127.0.0.1", port, stopping))
    thread.start()
    yield f"http://127.0.0.1:{port}/metrics"
    stopping.set()
    thread.join()


def test_they_are_served_to_whoever_scrapes_them(served: str) -> None:
    def answer() -> str:
        try:
            return httpx.get(served, trust_env=False).text
        except httpx.HTTPError:
            return ""

    wait_until("the metrics are served", answer, 10)
    assert samples(answer()) == samples(render_metrics(load))


def test_they_are_read_from_the_database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings = load_settings(database_url=SecretStr(database_url), exchange="binance")
    record = read_record(settings, tmp_path)
    assert record.server is None
    assert record.store.sizes[0].size_bytes > 1_000_000
    assert record.server_error == "no Prefect server runs"
