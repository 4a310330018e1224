"""The chains that measure and report, on real parts: what is stored, written, shown and sent."""

from __future__ import annotations

import re
from asyncio import to_thread
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect import flow, tags
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Failed

from flows.daily import daily_metrics, daily_report
from flows.history import read_history
from flows.market import signal_generation
from flows.on_demand import generate_report
from flows.weekly import weekly_report
from lib.reporting.report import ReportType
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_task_runs

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


@flow(name="test-broken-chain")
async def broken_chain() -> State[None]:
    return Failed(message="the exchange is made of | wood")


@pytest.fixture
def home(prefect_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FKS_HOME", str(tmp_path))
    return tmp_path


def age_balances(world: World, days: int) -> None:
    """Let the account have been worth as much for so many days, and a tenth less before its last day."""
    world.query(
        "INSERT INTO balance_history SELECT account, at - day * interval '1 day', cash_free, cash_locked,"
        " positions_value, other_value, equity * 0.9, unexplained_value, unrealized_pnl, realized_pnl, 0, 0, unpriced"
        " FROM balance_history, generate_series(1, :days) AS day",
        days=days,
    )


async def test_reports_are_stored_written_shown_and_sent_with_what_failed(prefect_world: World, home: Path) -> None:
    await signal_generation(return_state=True)
    age_balances(prefect_world, 10)
    with tags("fks"):
        await broken_chain(return_state=True)

    measured = await daily_metrics(return_state=True)
    assert measured.name == "Completed", measured.message
    assert "Sharpe ratio" in (await read_artifacts(id_of(measured)))["daily-metrics"]
    state = await daily_report(return_state=True)
    assert state.name == "Completed", state.message
    shown = await read_artifacts(id_of(state))
    for word in ("SOL/USDT", "Data freshness", "test-broken-chain", "made of \\| wood"):
        assert word in shown["daily-report"], word
    assert {"daily-report-equity", "daily-report-drawdown", "daily-report-allocation"} <= set(shown)

    [report] = prefect_world.query("SELECT * FROM reports")
    assert (report.report_type, report.account, report.flaws) == ("daily", "demo", "")
    assert report.path == str(home / "reports" / f"daily-{report.last_day}-demo.html")
    assert await to_thread(Path(report.path).read_text) != ""
    told = [content for content in prefect_world.webhooks.contents if "Daily report" in content]
    assert re.search(r"test-broken-chain \d+× failed", told[0])

    weekly = await weekly_report(return_state=True)
    assert weekly.name == "Completed", weekly.message
    rows = prefect_world.query(
        "SELECT account, days, known_days, total_return FROM performance_snapshots ORDER BY days"
    )
    assert [(row.account, row.days) for row in rows] == [("demo", 7), ("demo", 30)]
    assert {run.name for run in (await read_task_runs(id_of(weekly))).values()} == {
        "calculate_metrics",
        "generate_report",
        "send_notifications",
    }

    again = await generate_report(ReportType.DAILY, return_state=True)  # by hand: it replaces, and is sent again
    assert again.name == "Completed", again.message
    assert len(prefect_world.query("SELECT 1 FROM reports")) == 2


async def test_the_history_of_runs_counts_what_ended_and_names_what_failed(prefect_world: World) -> None:
    start = datetime.now(UTC)
    with tags("fks"):
        await broken_chain(return_state=True)
        await broken_chain(return_state=True)
    await broken_chain(return_state=True)  # of somebody else on the same server
    history = await read_history(start, datetime.now(UTC) + timedelta(seconds=1))
    assert (history.runs, history.untold, history.error) == (2, 0, None)
    assert [(run.flow, run.state) for run in history.troubled] == [("test-broken-chain", "Failed")] * 2
    assert history.troubled[0].message == "the exchange is made of | wood"


async def test_a_server_that_does_not_answer_is_the_histories_error() -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        history = await read_history(datetime.now(UTC) - timedelta(days=1), datetime.now(UTC))
    assert history.error is not None
    assert (history.runs, history.troubled) == (0, ())
