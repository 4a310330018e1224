"""The chain while the exchange is away, refuses us, or lives in another time; and after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.market import critical_path
from tests.platforms import World
from tests.prefect_servers import free_port
from tests.runs import id_of, read_run, read_task_runs
from tests.simulators import running_simulator

pytestmark = [
    pytest.mark.stack,
    pytest.mark.xdist_group("stack"),
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("quick_retries"),
]


def make_all_due(world: World) -> None:
    """Let ten minutes have passed since the last chain, as far as candles and prices know."""
    world.query("TRUNCATE candles, sync_status, candle_gaps")
    world.query("UPDATE positions SET price_at = price_at - interval '10 minutes'")


async def test_while_the_exchange_is_away_people_are_told_once_that_nothing_watches_their_stops(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await critical_path(return_state=True)).name == "Completed"
    make_all_due(prefect_world)

    with monkeypatch.context() as away:
        away.setenv("FKS_EXCHANGE_URL", f"http://127.0.0.1:{free_port()}")
        states = [await critical_path(return_state=True) for _ in range(2)]

    for state in states:
        assert state.type == "FAILED"
        assert "sync_market_data failed: simulator could not be reached for its time" in str(state.message)
        assert "check_stop_loss failed: " in str(state.message)
        assert "failed: sync_market_data, update_positions, check_stop_loss" in (await read_run(id_of(state))).name
    tasks = await read_task_runs(id_of(states[0]))
    assert (tasks["sync_market_data"].run_count, tasks["update_positions"].run_count) == (3, 3)
    told = sorted(text.splitlines()[0] for text in prefect_world.webhooks.contents)
    assets = ("BNB", "BTC", "ETH", "LINK", "SOL")
    assert [text.strip("*") for text in told] == [f"⚠️ No fresh price: {asset}/USDT (demo)" for asset in assets]

    back = await critical_path(return_state=True)
    assert back.name == "Completed", back.message
    assert len(prefect_world.webhooks.messages) == len(assets)
    [[candles]] = prefect_world.query("SELECT count(*) FROM candles")
    assert candles > 1000


async def test_a_pause_that_the_exchange_asks_for_is_kept_and_the_next_run_after_it_carries_on(
    prefect_world: World,
) -> None:
    control = prefect_world.simulator.control
    assert (await critical_path(return_state=True)).name == "Completed"
    prefect_world.query("TRUNCATE candles, sync_status, candle_gaps")
    control.arm("status", "/api/v3/klines", count=0, status=429, retry_after=300)
    control.reset_usage()

    paused = await critical_path(return_state=True)

    assert paused.type == "FAILED"
    assert "asked for a pause. It goes on by itself at" in str(paused.message)
    tasks = await read_task_runs(id_of(paused))
    assert tasks["check_stop_loss"].state_name == "Completed"  # by the price of the run before, which is fresh enough
    in_flight_at_most = 20
    assert control.stats()["by_status"]["429"] <= in_flight_at_most

    control.clear_faults()
    prefect_world.query("UPDATE exchange_budget SET paused_until = now()")
    assert (await critical_path(return_state=True)).name == "Completed"
    assert not prefect_world.webhooks.messages


async def test_a_clock_ten_seconds_off_does_no_harm_and_is_told_once_a_day(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(seconds=10)
    with running_simulator(start_at=datetime.now(UTC) + ahead) as simulator:
        monkeypatch.setenv("FKS_EXCHANGE_URL", simulator.url)
        first = await critical_path(return_state=True)
        simulator.control.set_time(datetime.now(UTC) + ahead)
        second = await critical_path(return_state=True)
    assert (first.name, second.name) == ("Completed", "Completed")
    assert "5 watched" in str(second.message)
    (told,) = prefect_world.webhooks.contents
    assert " ms behind the clock of simulator" in told
