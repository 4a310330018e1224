"""A platform for tests: real database, simulator over HTTP, a local Discord, flows on the session's Prefect."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from sqlalchemy import Row, text

from deployments import environment
from deployments.apply import save_database_block
from flows import support, tasks
from lib.adapters.database.engine import make_engine
from lib.platform import Platform
from lib.portfolio import quotes
from lib.settings import ENV_FILE
from lib.wiring import open_platform
from tests.prefect_servers import PrefectServer
from tests.runs import send_pending
from tests.simulators import RunningSimulator, running_simulator
from tests.webhooks import WebhookServer, run_webhooks

HISTORY_DAYS = {"5m": 1, "1h": 5}
ASSETS = {"mains": ["BTC", "ETH"], "alts": ["SOL", "LINK"]}


@dataclass(frozen=True)
class World:
    """Everything around the platform.

    Attributes:
        simulator: With the machine's clock.
        webhooks: The local Discord; the channel "team".
        database_url: Migrated.
    """

    simulator: RunningSimulator
    webhooks: WebhookServer
    database_url: str

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[Platform]:
        """The platform as a flow run opens it."""
        engine = make_engine(self.database_url)
        async with open_platform(engine) as opened:
            yield opened
        engine.dispose()

    def query(self, statement: str, **values: Any) -> list[Row[Any]]:
        """Return the rows of a statement, committed."""
        engine = make_engine(self.database_url)
        try:
            with engine.begin() as connection:
                result = connection.execute(text(statement), values)
                return list(result) if result.returns_rows else []
        finally:
            engine.dispose()

    def let_stop_trigger(self, symbol: str, simulator: RunningSimulator | None = None) -> Decimal:
        """Let the price jump one percent below the position's stop loss; return the price."""
        [[stop]] = self.query("SELECT stop_loss FROM positions WHERE symbol = :symbol", symbol=symbol)
        price = Decimal(round(stop * Decimal("0.99"), 2))
        (simulator or self.simulator).control.set_price(symbol.replace("/", ""), price)
        return price


@pytest.fixture
def world(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A simulator, a Discord and a database, named by the environment as the stack does it."""
    with running_simulator() as simulator, run_webhooks() as webhooks:
        for name in [name for name in os.environ if name.startswith("FKS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv(ENV_FILE, "")
        monkeypatch.setenv("FKS_EXCHANGE_URL", simulator.url)
        monkeypatch.setenv("FKS_CHANNELS__TEAM__URL", webhooks.url)
        monkeypatch.setenv("FKS_HISTORY_DAYS", json.dumps(HISTORY_DAYS))
        for group, assets in ASSETS.items():
            monkeypatch.setenv(f"FKS_{group.upper()}", json.dumps(assets))
        yield World(simulator, webhooks, database_url)


@pytest.fixture
def prefect_world(world: World, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose flows run in this process, and in those it starts, against the session's Prefect server."""
    api_url = prefect_server.env["PREFECT_API_URL"]
    monkeypatch.setenv("PREFECT_API_URL", api_url)  # a child without it would start a server of its own
    with temporary_settings({PREFECT_API_URL: api_url}):
        asyncio.run(save_database_block(SecretStr(world.database_url)))
        yield world
        asyncio.run(send_pending())


def flow_environment(server: PrefectServer) -> dict[str, str]:
    """Return the environment of a flow run's process: the worker's, with this test's settings."""
    shared = {name: value for name, value in server.env.items() if not name.startswith("FKS_")}
    ours = {name: value for name, value in os.environ.items() if name.startswith("FKS_")}
    return environment.worker_environment(shared) | ours | {"FKS_HOME": server.env["FKS_HOME"]}


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once: their number and their reasons are tried, not the waiting."""
    for task in (tasks.sync_market_data, tasks.update_positions, tasks.check_stop_loss, tasks.send_notifications):
        monkeypatch.setattr(task, "retry_delay_seconds", 0)
    monkeypatch.setattr(support, "RETRY_SECONDS", (0, 0))
    monkeypatch.setattr(quotes, "PAUSES_SECONDS", (0, 0))
