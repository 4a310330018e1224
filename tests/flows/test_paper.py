"""Trading by hand on a paper account, as a person starts it."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from flows.on_demand import paper_trade
from lib.execution.halt import VARIABLE, Halt
from lib.portfolio.fills import Side
from tests.platforms import World
from tests.prefect_servers import PrefectServer
from tests.runs import id_of, read_artifacts

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def paper_beside_live(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FKS_ACCOUNTS__PAPER__KIND", "paper")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_KEY", "simulator-key")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_SECRET", "simulator-secret")


async def test_a_purchase_on_paper_is_a_position_in_the_same_run_and_its_artifact(prefect_world: World) -> None:
    async with prefect_world.platform() as platform:
        symbols = await platform.exchange.fetch_symbols()
        with platform.candles.open_session() as session:
            session.save_symbols(symbols.values(), missing=(), groups={}, at=platform.clock.now())

    state = await paper_trade("paper", "sol/usdt", Side.BUY, notional=Decimal(500), return_state=True)

    assert state.name == "Completed", state.message
    [(account, symbol, quantity)] = prefect_world.query("SELECT account, symbol, quantity FROM positions")
    assert (account, symbol) == ("paper", "SOL/USDT")
    text = (await read_artifacts(id_of(state)))["paper-trade"]
    assert "buy" in text
    assert "paper" in text

    sold = await paper_trade("paper", "SOL/USDT", Side.SELL, quantity=round(quantity, 2) * 2, return_state=True)
    assert sold.type == "FAILED"
    assert "Order less" in str(sold.message)


async def test_a_halt_stops_a_trade_on_paper_with_its_reason(
    prefect_world: World, prefect_server: PrefectServer
) -> None:
    prefect_server.api.save_variable(VARIABLE, Halt("look first", "anna").to_value())
    try:
        state = await paper_trade("paper", "SOL/USDT", Side.BUY, notional=Decimal(500), return_state=True)
    finally:
        prefect_server.api.delete_variable(VARIABLE)
    assert state.type == "FAILED"
    assert re.search(
        r"Trading is halted: look first \(anna, .* UTC\)\. Nothing is sent until `fks release`", str(state.message)
    )
    assert prefect_world.query("SELECT count(*) FROM paper_orders") == [(0,)]


async def test_a_live_account_is_not_traded_on_paper(prefect_world: World) -> None:
    state = await paper_trade("demo", "SOL/USDT", Side.BUY, quantity=Decimal(1), return_state=True)
    assert state.type == "FAILED"
    assert "Account demo is live" in str(state.message)
