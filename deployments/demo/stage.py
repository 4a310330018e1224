"""Where situations are played: a running stack, seen through its database, its exchange and its Prefect server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import httpx
from rich.console import RenderableType
from rich.padding import Padding
from rich.status import Status
from sqlalchemy import Engine

from deployments.by_hand import ByHand
from deployments.demo.expectations import Expectations
from deployments.first_run import FIRST as CRITICAL_PATH
from deployments.prefect_api import PrefectApi, Run, ServerSilent
from deployments.specification import TAG
from deployments.stack import Stack, StopRequested
from deployments.watch import Watch
from lib.adapters.database.engine import make_engine
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.overview import StoredSeries, load_messages, load_series
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.errors import EnvironmentRefused
from lib.notifications.messages import Message, MessageType, Severity
from lib.portfolio.ledger import Position
from lib.portfolio.stores import HeldPosition
from lib.simulator.demo_account import DEMO_KEY, DEMO_SECRET
from lib.units import floor_to_step

SIGNALS = "signal-generation/every-15-minutes"
RISK = "market-analysis/every-30-minutes"
RUN_SECONDS = 180


@dataclass(frozen=True)
class Books:
    """What the database has of the account, and of the messages to people.

    Attributes:
        held: Open positions by symbol.
        newest: The newest position of each symbol, open or closed.
        fills: How many are stored.
        cash: Of the quote asset, as last seen.
        messages: Everything that was ever recorded for people.
    """

    held: Mapping[str, HeldPosition]
    newest: Mapping[str, Position]
    fills: int
    cash: Decimal
    messages: tuple[Message, ...]

    @property
    def alarms(self) -> tuple[Message, ...]:
        """Return the messages that are more than information."""
        return tuple(message for message in self.messages if message.severity is not Severity.INFO)

    def find_messages(self, kind: MessageType) -> tuple[Message, ...]:
        """Return the messages of one type."""
        return tuple(message for message in self.messages if message.type is kind)


@dataclass(frozen=True)
class Stage:
    """A running stack in which only we start runs.

    Attributes:
        deployment_ids: By the chains' names.
        account: The one that the situations are about.
        by_hand: The same account, as its owner reaches it past the platform.
    """

    stack: Stack
    expectations: Expectations
    api: PrefectApi
    engine: Engine
    watch: Watch
    deployment_ids: Mapping[str, str]
    account: str
    by_hand: ByHand

    def expect(self, what: str, numbers: str, *, holds: bool) -> None:
        """See `Expectations.expect`."""
        self.expectations.expect(what, numbers, holds=holds)

    def show(self, *tables: RenderableType) -> None:
        """Show tables, with blank lines around each."""
        for table in tables:
            self.stack.display.console.print(Padding(table, (1, 0, 0, 2), expand=False))
        self.stack.display.console.print()

    def note(self, text: str) -> None:
        """Say what happens next."""
        self.stack.display.console.print()
        self.stack.display.note(text)

    def run_chain(self, chain: str = CRITICAL_PATH) -> None:
        """Start a run of a chain as a person would, wait until it is over, and expect it to be Completed."""
        began = time.monotonic()
        with self.stack.display.console.status(f"{chain} …") as shown:
            run_id = self.api.start_run(self.deployment_ids[chain])
            while (run := self._look(run_id, chain, shown)) is None or not run.is_over:
                if time.monotonic() - began > RUN_SECONDS:
                    raise EnvironmentRefused(
                        f"The run of {chain} was not over after {RUN_SECONDS} s. See {self.stack.folder / 'logs'}."
                    )
                self.wait()
        told = run.name if run.state == "Completed" else f"{run.name}: {run.message}"
        took = f"({time.monotonic() - began:.1f} s)"
        self.expect(f"{chain.partition('/')[0]}: {run.state}", f"{told} {took}", holds=run.state == "Completed")

    def _look(self, run_id: str, chain: str, shown: Status) -> Run | None:
        try:
            run, progress = self.api.load_run(run_id), self.api.load_progress(run_id)
        except ServerSilent:
            return None  # the watch starts it again
        if progress is not None:
            shown.update(f"{chain} … {progress.percent:.0f} % ({progress.text})")
        return run

    def wait_until(self, at: datetime, why: str) -> None:
        """Wait until an instant has passed, looking after the stack's programs."""
        with self.stack.display.console.status(f"{why} …"):
            while datetime.now(UTC) < at:
                self.wait()

    def wait(self) -> None:
        """Let a moment pass, and look after the stack's programs.

        Raises:
            StopRequested: People asked to stop.
            GaveUp: A program crashed too often.
        """
        if self.stack.stopping.wait(0.5):
            raise StopRequested
        self.watch.look()

    def read_series(self) -> list[StoredSeries]:
        """Return what is stored of the market."""
        return load_series(self.engine)

    def read_books(self) -> Books:
        """Return what is stored of the account, and for people."""
        store = DatabasePortfolioStore(self.engine)
        with store.open_books(self.account) as books:
            newest = {position.symbol: position for position in books.load_newest_positions()}
            fills = len(books.load_fills())
        cash = store.load_import_state(self.account).seen.get(self.stack.settings.quote_asset)
        return Books(
            held={one.symbol: one for one in store.load_held(self.account)},
            newest=newest,
            fills=fills,
            cash=cash.total if cash else Decimal(0),
            messages=tuple(load_messages(self.engine)),
        )

    def read_price(self, symbol: str) -> Decimal:
        """Return what the exchange says now."""
        url = f"{self.stack.addresses.simulator_url}/api/v3/ticker/price"
        reply = httpx.get(url, params={"symbol": symbol.replace("/", "")}, timeout=30, trust_env=False)
        return Decimal(reply.raise_for_status().json()["price"])

    def set_price(self, symbol: str, wanted: Decimal) -> Decimal:
        """Let the market's price jump, by the simulator's control, to `wanted` or the price step below; returns it."""
        step = DatabaseMarketFacts(self.engine).load_listings({symbol})[symbol].price_step
        price = floor_to_step(wanted, step or Decimal(1))
        body = {"symbol": symbol.replace("/", ""), "price": str(price)}
        url = f"{self.stack.addresses.simulator_url}/control/price"
        reply = httpx.post(url, json=body, timeout=30, trust_env=False)
        if reply.is_error:
            raise EnvironmentRefused(f"The simulator refused the price {price} of {symbol}: {reply.text}")
        return price


@contextmanager
def open_stage(stack: Stack, expectations: Expectations) -> Iterator[Stage]:
    """Pause the schedules, so that every run is one of ours, and give the stage."""
    assert stack.databases is not None
    (account,) = stack.settings.effective_accounts
    engine = make_engine(stack.databases.url)
    by_hand = ByHand(stack.addresses.simulator_url or "", DEMO_KEY, DEMO_SECRET)
    try:
        with stack.api as api:
            deployments = api.load_deployments(TAG)
            ids = {one.name: one.id for one in deployments}
            stage = Stage(stack, expectations, api, engine, Watch(stack), ids, account, by_hand)
            _pause_schedules(stage, [one.id for one in deployments if one.is_scheduled])
            yield stage
    finally:
        engine.dispose()


def _pause_schedules(stage: Stage, deployment_ids: Iterable[str]) -> None:
    stage.note("The schedules are paused: the demo starts each run by itself. Nobody is told: it has no channels.")
    for deployment_id in deployment_ids:
        stage.api.pause_deployment(deployment_id)
    with stage.stack.display.console.status("Waiting for a scheduled run …"):
        while stage.api.count_running(TAG, including_pending=True):
            stage.wait()
