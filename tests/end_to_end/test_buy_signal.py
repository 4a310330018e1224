"""A BUY from end to end: a market breaks out, one alert with its chart, bought by hand or on paper, a position."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from deployments.by_hand import ByHand
from flows.market import critical_path, signal_generation
from flows.on_demand import paper_trade
from lib.portfolio.fills import Side
from lib.strategy.registry import STRATEGIES
from lib.strategy.roster import register_strategies
from lib.strategy.stores import StrategyState
from tests.platforms import World
from tests.prefect_servers import wait_until
from tests.runs import id_of, read_artifacts, read_run
from tests.simulators import API_KEY, API_SECRET, RunningSimulator, running_simulator
from tests.webhooks import Posted

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

SYMBOL = "SOL/USDT"
STRATEGY = "breakout"
JUMP = Decimal("1.05")
ACCOUNTS = {
    "demo": {"KIND": "live", "API_KEY": API_KEY, "API_SECRET": API_SECRET},
    "paper": {"KIND": "paper", "PAPER_CASH": "5000"},
    "poor": {"KIND": "paper", "PAPER_CASH": "20"},
}


@pytest.fixture
def market(prefect_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[RunningSimulator]:
    """A market that stood still for a day; in the last minutes of the last full hour one price jumped."""
    wait_until("the hour does not turn within the test", lambda: datetime.now(UTC).minute < 58, 150)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with running_simulator(start_at=hour - timedelta(days=1), state_path=tmp_path) as past:
        past.control.scenario("flat")
        past.control.set_time(hour - timedelta(minutes=2))
        past.control.set_price("SOLUSDT", round(read_price(past) * JUMP, 2))
    monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps({"5m": 1, "1h": 20}))
    for name, settings in ACCOUNTS.items():
        for key, value in settings.items():
            monkeypatch.setenv(f"FKS_ACCOUNTS__{name.upper()}__{key}", value)
    with running_simulator(state_path=tmp_path) as present:  # the same world goes on by the machine's clock
        monkeypatch.setenv("FKS_EXCHANGE_URL", present.url)
        yield present


@pytest.fixture
async def signalled(prefect_world: World, market: RunningSimulator) -> State[Any]:
    """The chain of signals has run once."""
    return await run_first_signals(prefect_world)


async def run_first_signals(prefect_world: World, account: str | None = None) -> State[Any]:
    """Run the chain of signals once after the first critical path, with one strategy.

    Whether the others buy in this market depends on the day.
    """
    await run_critical_path()
    assert not prefect_world.webhooks.messages
    async with prefect_world.platform() as platform:
        strategies, now = platform.analysis.strategies, platform.clock.now()
        register_strategies(strategies, now)
        for other in set(STRATEGIES) - {STRATEGY}:
            strategies.change_state(other, StrategyState.DISABLED, "not tried here", now)
    state: State[Any] = await signal_generation(account, return_state=True)
    assert state.name == "Completed", state.message
    return state


async def run_critical_path() -> State[Any]:
    state: State[Any] = await critical_path(return_state=True)
    assert state.name == "Completed", state.message
    return state


def read_price(simulator: RunningSimulator) -> Decimal:
    return Decimal(simulator.get("/ticker/price", symbol="SOLUSDT")["price"])


def read_quantity(world: World, account: str) -> Decimal:
    [[quantity]] = world.query("SELECT quantity FROM signal_sizes WHERE account = :account", account=account)
    return Decimal(quantity)


def read_alerts(world: World) -> list[Posted]:
    """Return the messages that were told; the files of one come in a post of their own."""
    return [post for post in world.webhooks.messages if not post.files]


def read_positions(world: World, account: str) -> dict[str, Decimal]:
    query = "SELECT symbol, quantity FROM positions WHERE account = :account AND closed_at IS NULL"
    return {symbol: Decimal(quantity) for symbol, quantity in world.query(query, account=account)}


async def test_one_alert_says_what_each_account_should_buy_and_carries_the_chart(
    prefect_world: World, market: RunningSimulator, signalled: State[Any]
) -> None:
    [[price, stop, target, confidence, reasons, opened_at, alerted_at]] = prefect_world.query(
        "SELECT price, stop_loss, take_profit, confidence, reasons, opened_at, alerted_at FROM signals "
        "WHERE action = 'buy'"
    )
    alert, chart = prefect_world.webhooks.messages
    assert alert.content.startswith(f"🚀 BUY {SYMBOL}: {STRATEGY} 1h")
    for part in (
        reasons[0][1:],
        f"Price {price.normalize():f}",
        f"stop loss {stop.normalize():f}",
        f"take profit {target.normalize():f}",
        f"confidence {confidence:.2f}",
        f"demo: buy {read_quantity(prefect_world, 'demo').normalize():f} SOL",
        f"paper: buy {read_quantity(prefect_world, 'paper').normalize():f} SOL",
        "poor: no buy.",
        "the exchange takes no",
    ):
        assert part in alert.content, alert.content
    assert read_quantity(prefect_world, "demo") > read_quantity(prefect_world, "paper") > 0
    assert read_quantity(prefect_world, "poor") == 0
    assert price == read_price(market)
    assert alerted_at > opened_at + timedelta(hours=1)
    ((name, content),) = chart.files
    assert name == "SOL-USDT-breakout.png"
    assert content.startswith(b"\x89PNG\r\n")
    assert content.rstrip(b"\0").endswith(b"IEND\xaeB`\x82")


async def test_a_run_for_one_account_tells_the_others_too(prefect_world: World, market: RunningSimulator) -> None:
    await run_first_signals(prefect_world, "paper")
    alert, _ = prefect_world.webhooks.messages
    for account in ("demo: buy ", "paper: buy ", "poor: no buy."):
        assert account in alert.content, alert.content


async def test_the_artifact_shows_every_symbol_with_its_signal_and_reason(
    prefect_world: World, signalled: State[Any]
) -> None:
    text = (await read_artifacts(id_of(signalled)))["signal-generation"]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = {line.split("|")[1].strip(): line for line in lines}
    for symbol in ("BTC/USDT", "ETH/USDT", "LINK/USDT"):
        assert "hold: close (" in rows[symbol], text
        assert "is not above high of 20 candles before" in rows[symbol]
    assert "🚀 BUY: close (" in rows[SYMBOL]
    disabled = sorted(set(STRATEGIES) - {STRATEGY})
    assert [line for line in lines if ", ".join(disabled) in line and "not tried here" in line]
    assert "1 buy" in (await read_run(id_of(signalled))).name


async def test_the_next_run_on_the_same_candle_repeats_nothing(prefect_world: World, signalled: State[Any]) -> None:
    kept = [prefect_world.query(f"SELECT * FROM {table} ORDER BY symbol") for table in ("signals", "signal_sizes")]
    again = await signal_generation(return_state=True)
    assert again.is_completed(), again.message
    assert len(read_alerts(prefect_world)) == 1
    assert kept == [
        prefect_world.query(f"SELECT * FROM {table} ORDER BY symbol") for table in ("signals", "signal_sizes")
    ]
    assert "🚀 BUY: close (" in (await read_artifacts(id_of(again)))["signal-generation"]


async def test_what_a_person_buys_by_hand_on_the_exchange_is_a_position_in_the_next_cycle(
    prefect_world: World, market: RunningSimulator, signalled: State[Any]
) -> None:
    held = read_positions(prefect_world, "demo")[SYMBOL]
    by_hand = ByHand(market.url, API_KEY, API_SECRET)
    bought = await asyncio.to_thread(by_hand.buy, SYMBOL, read_quantity(prefect_world, "demo"))
    state = await run_critical_path()
    assert bought.quantity == read_quantity(prefect_world, "demo")
    assert read_positions(prefect_world, "demo")[SYMBOL] == held + bought.quantity - bought.fees["SOL"]
    assert SYMBOL in (await read_artifacts(id_of(state)))["critical-path"]
    balanced = await signal_generation(return_state=True)  # the ledger agrees with the exchange
    assert balanced.is_completed(), balanced.message
    assert prefect_world.query("SELECT * FROM breaks") == []
    _, told = read_alerts(prefect_world)  # after the BUY's
    assert "Order placed by hand on demo" in told.content


async def test_what_a_person_buys_on_paper_is_a_position_in_the_next_cycle(
    prefect_world: World, signalled: State[Any]
) -> None:
    quantity = read_quantity(prefect_world, "paper")
    traded = await paper_trade("paper", SYMBOL, Side.BUY, quantity=quantity, return_state=True)
    assert traded.name == "Completed", traded.message
    state = await run_critical_path()
    (held,) = read_positions(prefect_world, "paper").values()
    assert held == quantity * Decimal("0.999")
    rows = (await read_artifacts(id_of(state)))["critical-path"].splitlines()
    assert [row for row in rows if "paper" in row and SYMBOL in row]
    assert len(read_alerts(prefect_world)) == 1
