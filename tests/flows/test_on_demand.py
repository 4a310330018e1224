"""What a person starts: messages, backfills, stop losses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry

from flows.market import critical_path
from flows.on_demand import backfill_market_data, send_notification, set_stop_loss
from tests.platforms import World
from tests.runs import execute, id_of, read_artifacts, read_run, read_task_runs

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def test_a_persons_message_is_delivered_and_not_again_when_the_run_is_retried(prefect_world: World) -> None:
    said = {"type": "operations", "message": "Maintenance tonight\nAll positions stay open.", "urgent": True}
    async with get_client() as client:
        run = await client.create_flow_run(send_notification, parameters=said)
        first = await execute(send_notification, run)
        await client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
        second = await execute(send_notification, await client.read_flow_run(run.id))
    assert (first.name, second.name) == ("Completed", "Completed")
    (content,) = prefect_world.webhooks.contents
    assert "Maintenance tonight" in content
    assert "All positions stay open." in content
    assert content.splitlines()[-1].endswith(f"/runs/flow-run/{run.id}")
    assert (await read_run(run.id)).run_count == 2
    assert "nothing to do" in (await read_run(run.id)).name


async def test_a_window_without_a_time_zone_is_utc_and_its_missing_candles_come_back(
    prefect_world: World, elsewhere: None
) -> None:
    await critical_path(return_state=True)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None) - timedelta(hours=9)
    window = {"start": start, "end": start + timedelta(hours=1)}
    within = "symbol = 'BTC/USDT' AND timeframe = '5m' AND opened_at >= :start AND opened_at < :end"
    utc = {name: instant.replace(tzinfo=UTC) for name, instant in window.items()}
    assert len(prefect_world.query(f"DELETE FROM candles WHERE {within} RETURNING 1", **utc)) == 12

    state = await backfill_market_data(**window, symbols=["btc/usdt"], timeframes=["5m"], return_state=True)

    assert state.name == "Completed", state.message
    assert prefect_world.query(f"SELECT count(*) FROM candles WHERE {within}", **utc) == [(12,)]
    name = (await read_run(id_of(state))).name
    assert name.endswith(" 12 candles")
    assert "12 new candles" in (await read_artifacts(id_of(state)))["backfill-market-data"]


async def test_a_stop_loss_is_set_or_refused_with_the_reason_and_no_retry(prefect_world: World) -> None:
    await critical_path(return_state=True)
    twelve_digits = Decimal("0.123456789012")
    done = await set_stop_loss("demo", "sol/usdt", stop_loss=twelve_digits, return_state=True)
    assert done.name == "Completed", done.message
    assert prefect_world.query("SELECT stop_loss FROM positions WHERE symbol = 'SOL/USDT'") == [(twelve_digits,)]

    refused = await set_stop_loss("demo", "DOT/USDT", stop_loss=3, return_state=True)
    assert refused.type == "FAILED"
    assert "no open position in DOT/USDT. Open are BNB/USDT, " in str(refused.message)
    assert (await read_task_runs(id_of(refused)))["set_stop_loss"].run_count == 1

    kept = await set_stop_loss("demo", "SOL/USDT", remove_stop_loss=True, return_state=True)
    assert kept.type == "FAILED"
    assert "take stop_loss_pct out of the account's settings first" in str(kept.message)
