"""`fks halt` and `fks release` on a real Prefect server, and what they do to the next order."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.variables import Variable
from rich.console import Console

from deployments import halting
from deployments.display import Display
from deployments.prefect_api import PrefectApi, ServerSilent
from flows.on_demand import send_notification
from flows.trading_halt import load_halt, read_halt
from lib.errors import OperatorError, SettingsError
from lib.execution.halt import VARIABLE
from lib.execution.orders import Order, OrderIntent, OrderKind
from lib.portfolio.fills import Side
from lib.tasks.trading import open_trading
from tests.platforms import World
from tests.prefect_servers import PrefectServer, free_port

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(120)]


class Terminal(Display):
    """A display whose words a test reads."""

    def __init__(self) -> None:
        self.file = io.StringIO()
        super().__init__(Console(file=self.file, width=400))

    @property
    def text(self) -> str:
        return self.file.getvalue()


@pytest.fixture
def server(
    prefect_world: World, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrefectApi]:
    """The session's server as PREFECT_API_URL names it; trading is free before and after."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server.env["PREFECT_API_URL"])
    prefect_server.api.delete_variable(VARIABLE)
    yield prefect_server.api
    prefect_server.api.delete_variable(VARIABLE)


async def order(world: World, name: str) -> Order:
    intent = OrderIntent(
        client_order_id=name,
        account="demo",
        symbol="BTC/USDT",
        side=Side.BUY,
        kind=OrderKind.MARKET,
        quantity=Decimal("0.001"),
        reference_price=Decimal(100_000),
        created_at=datetime.now(UTC),
        why="a test",
    )
    async with world.platform() as platform, open_trading(platform, "demo", read_halt) as placing:
        return await placing.place(intent)


async def test_a_halt_refuses_the_next_order_with_its_reason_until_it_is_released(
    prefect_world: World, server: PrefectApi, tmp_path: Path
) -> None:
    terminal = Terminal()
    halting.halt(tmp_path, "  prices look\nwrong ", "anna", terminal)
    refused = await order(prefect_world, "fks-1")
    assert (refused.state, refused.refusal, refused.attempts) == ("rejected", "halted", ())
    assert "Trading is halted: prices look wrong (anna, 20" in refused.reason
    assert "Nothing is sent until `fks release`; start a new run then." in refused.reason

    halting.release(tmp_path, "ben", terminal)
    assert await load_halt() is None
    free = await order(prefect_world, "fks-2")
    assert free.refusal == "unknown_symbol"  # no symbol was synchronised: it went on to the next check
    assert "Orders are sent again" in terminal.text
    assert "It was halted: prices look wrong (anna, " in terminal.text
    halting.release(tmp_path, None, terminal)
    assert "Trading was not halted" in terminal.text


async def test_people_are_told_once_of_a_halt_and_of_its_release(server: PrefectApi, tmp_path: Path) -> None:
    async with get_client() as client:
        flow_id = await client.create_flow(send_notification)
        deployment_id = await client.create_deployment(flow_id, "manual")
        terminal = Terminal()
        halting.halt(tmp_path, "prices look wrong", None, terminal)
        halting.halt(tmp_path, "prices look wrong", "ben", terminal)
        halting.release(tmp_path, "ben", terminal)
        of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
        runs = await client.read_flow_runs(deployment_filter=of_it)
        await client.delete_deployment(deployment_id)
    assert "Trading is halted already: prices look wrong" in terminal.text
    told: list[dict[str, Any]] = sorted((run.parameters for run in runs), key=lambda one: not one["urgent"])
    assert [(one["type"], one["urgent"]) for one in told] == [("operations", True), ("operations", False)]
    assert told[0]["message"].startswith("Trading is HALTED: prices look wrong\nSince 20")
    assert told[1]["message"].startswith("Trading is released\n")
    assert "released by ben" in told[1]["message"]


async def test_where_nobody_can_be_told_the_halt_holds_and_says_so(server: PrefectApi, tmp_path: Path) -> None:
    if (deployed := server.find_deployment(*halting.MESSENGER)) is not None:
        server._request("DELETE", f"/deployments/{deployed}")
    terminal = Terminal()
    halting.halt(tmp_path, "prices look wrong", "anna", terminal)
    assert "Nobody was told: the server has no send-notification/manual" in terminal.text
    assert await read_halt() is not None


async def test_a_person_may_set_the_switch_in_the_ui(server: PrefectApi) -> None:
    before = datetime.now(UTC)
    await Variable.aset(VARIABLE, "the exchange is down")
    halt = await load_halt()
    assert halt is not None
    assert halt.reason == "the exchange is down"
    assert halt.at is not None
    assert halt.at >= before.replace(microsecond=0)
    await Variable.aset(VARIABLE, "no", overwrite=True)
    assert await read_halt() is None


def test_without_a_server_it_says_what_to_do_and_that_nothing_is_sent_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(SettingsError, match="and PREFECT_API_URL is not set"):
        halting.halt(tmp_path, "x", None, Terminal())
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    with pytest.raises(ServerSilent, match="no order is sent either"):
        halting.release(tmp_path, None, Terminal())
    with pytest.raises(OperatorError, match="Expected a reason"):
        halting.halt(tmp_path, " \n", None, Terminal())
