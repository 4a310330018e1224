"""Everything around the platform: a database, the simulator as a process of its own, channels, settings, restarts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, Row, text

from lib.adapters.database.engine import make_engine
from lib.platform import Platform
from lib.portfolio.accounts import AccountKind
from lib.portfolio.exits import ExitPolicy
from lib.settings import AccountSettings, ChannelSettings, Settings, load_settings
from lib.simulator.demo_account import DEMO_KEY, DEMO_SECRET
from lib.wiring import open_platform
from tests.simulators import Control
from tests.soak.clock import SoakClock
from tests.webhooks import WebhookServer, run_webhooks

ASKS, SELLS, PAPER = "asks", "sells", "paper"
SELLS_KEY, SELLS_SECRET = "sells-key", "sells-secret"
KEYS = {ASKS: DEMO_KEY, SELLS: SELLS_KEY}
FIRST_MONEY = {"USDT": "60000"}  # coins that nobody bought would be beside the positions
MAINS, ALTS = ("BTC", "ETH", "BNB"), ("SOL", "LINK", "ADA")
HISTORY_DAYS = {"5m": 3, "1h": 60, "4h": 120, "1d": 300}
RETENTION_DAYS = {"5m": 4, "1h": 60}
BACKFILLED = timedelta(days=45)  # before the start, which the first night archives again
SIMULATOR_SECONDS = 60
TIMEOUT_SECONDS = 3.0


@dataclass
class Stage:
    """What a soak runs on.

    Attributes:
        settings: The operator's.
        url: The simulator's.
        control: Its control API.
        clock: Of both.
        engine: For looking on; the platform has one of its own.
        webhooks: Where messages arrive.
        simulator: Its process.
        platform: As it is now.
    """

    settings: Settings
    url: str
    control: Control
    clock: SoakClock
    engine: Engine
    webhooks: WebhookServer
    simulator: subprocess.Popen[str]
    database_url: str
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _platform: Platform | None = None

    @property
    def platform(self) -> Platform:
        """The platform of the present process."""
        assert self._platform is not None
        return self._platform

    async def restart(self) -> None:
        """Leave the platform as a process that ends does, and build another one."""
        await self.close()
        engine = make_engine(self.database_url)
        self._open.callback(engine.dispose)
        self._platform = await self._open.enter_async_context(open_platform(engine, self.settings, self.clock))

    async def close(self) -> None:
        """Release what the platform holds."""
        self._platform = None
        await self._open.aclose()

    def query(self, statement: str, **values: Any) -> list[Row[Any]]:
        """Return the rows of a statement that only reads."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def books(self, account: str) -> dict[str, Any]:
        """Return the exchange's own books of a live account: the truth."""
        books: dict[str, Any] = self.control.request("GET", "/books")["accounts"][KEYS[account]]
        return books


@contextmanager
def open_stage(database_url: str, home: Path, *, start: datetime, seed: int) -> Iterator[Stage]:
    """Start the simulator and the channels, with two live accounts and a paper one."""
    with ExitStack() as stack:
        simulator, url = stack.enter_context(_running_simulator(start, seed))
        webhooks = stack.enter_context(run_webhooks())
        control = Control(url)
        stack.callback(control.close)
        control.request("POST", "/accounts", api_key=SELLS_KEY, api_secret=SELLS_SECRET, balances=FIRST_MONEY)
        engine = make_engine(database_url)
        stack.callback(engine.dispose)
        settings = make_settings(url, webhooks.url, home)
        yield Stage(settings, url, control, SoakClock(control), engine, webhooks, simulator, database_url)


def make_settings(url: str, webhook_url: str, home: Path) -> Settings:
    """Return the operator's settings: every policy has an account, and what is kept is small."""
    return load_settings(
        home=home,
        exchange_url=url,
        exchange_timeout_seconds=TIMEOUT_SECONDS,
        sync_wait_seconds=1,
        mains=MAINS,
        alts=ALTS,
        history_days=HISTORY_DAYS,
        candle_retention_days=RETENTION_DAYS,
        indicator_retention_days=RETENTION_DAYS,
        indicator_rows=300,
        search_combinations=2,
        search_train_days=20,
        search_test_days=7,
        validation_days=20,
        validation_min_sharpe=0.0,
        validation_min_trades=1,
        approval_hours=2,
        hold_signal_days=30,
        attachment_days=7,
        accounts={
            ASKS: _live(
                DEMO_KEY,
                DEMO_SECRET,
                stop_loss_pct=Decimal(6),
                stop_policy=ExitPolicy.APPROVE,
                protective_orders=True,
            ),
            SELLS: _live(
                SELLS_KEY,
                SELLS_SECRET,
                stop_loss_pct=Decimal(4),
                approval_required=False,
                stop_policy=ExitPolicy.EXIT,
                take_profit_policy=ExitPolicy.EXIT,
            ),
            PAPER: AccountSettings(kind=AccountKind.PAPER, paper_cash=Decimal(30_000), stop_loss_pct=Decimal(5)),
        },
        channels={"team": ChannelSettings(url=SecretStr(webhook_url))},
    )


def _live(key: str, secret: str, **more: Any) -> AccountSettings:
    return AccountSettings(kind=AccountKind.LIVE, api_key=SecretStr(key), api_secret=SecretStr(secret), **more)


@contextmanager
def _running_simulator(start: datetime, seed: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the simulator's program with a clock that only we move."""
    command = [sys.executable, "-m", "deployments", "simulator", "--port", "0", "--seed", str(seed)]
    command += ["--symbols", "10", "--clock", f"{start:%Y-%m-%dT%H:%M:%S}"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("FKS_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()  # "Simulator on http://127.0.0.1:41234", once it answers
        if " on http://" not in line:
            raise RuntimeError(f"The simulator did not start: {line!r}")
        yield process, line.split(" on ")[1].strip()
    finally:
        process.terminate()
        process.wait(timeout=SIMULATOR_SECONDS)
