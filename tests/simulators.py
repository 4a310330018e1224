"""A real exchange simulator for tests: its own event loop in a thread, a free port, a typed client of its control API.

    with running_simulator(start_at=datetime(2026, 3, 1, tzinfo=UTC)) as simulator:
        simulator.control.set_price("BTCUSDT", "50000")
        simulator.control.advance(seconds=300)

`simulator` is the pytest fixture with a driven clock that stands at `START_AT`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from aiohttp import web

from lib.simulator.server import SimulatorConfig, create_app

START_AT = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)  # half a minute into a candle
API_KEY = "simulator-key"
API_SECRET = "simulator-secret"


class ControlRefused(Exception):
    """The simulator refused a control request; the text is its reason."""


class Control:
    """The control API of one simulator."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Release the connection."""
        self._client.close()

    def request(self, method: str, path: str, /, **body: Any) -> dict[str, Any]:
        """Send a control request, `path` below /control; fields that are None are left out."""
        fields = {name: value for name, value in body.items() if value is not None}
        reply = self._client.request(method, f"/control{path}", json=fields)
        answer: dict[str, Any] = reply.json()
        if reply.status_code != 200:
            raise ControlRefused(f"{reply.status_code}: {answer['error']}")
        return answer

    def now(self) -> datetime:
        """Return exchange time."""
        return datetime.fromtimestamp(self.request("GET", "/clock")["now_ms"] / 1000, UTC)

    def set_time(self, at: datetime) -> None:
        """Set the driven clock."""
        self.request("POST", "/clock/set", at=at.isoformat())

    def advance(self, seconds: float) -> None:
        """Advance the driven clock."""
        self.request("POST", "/clock/advance", seconds=seconds)

    def set_price(self, symbol: str, price: str | Decimal) -> None:
        """Let a price jump now."""
        self.request("POST", "/price", symbol=symbol, price=str(price))

    def scenario(self, name: str, symbol: str = "*", change: float | None = None, minutes: int | None = None) -> None:
        """Start a scenario: normal, rally, crash, flat, halted."""
        self.request("POST", "/scenario", symbol=symbol, scenario=name, change=change, minutes=minutes)

    def halt(self, symbol: str) -> None:
        """Stop trading of a symbol."""
        self.request("POST", "/halt", symbol=symbol)

    def resume(self, symbol: str) -> None:
        """Let a halted symbol trade on."""
        self.request("POST", "/resume", symbol=symbol)

    def delist(self, symbol: str) -> None:
        """Let the exchange forget a symbol."""
        self.request("POST", "/delist", symbol=symbol)

    def relist(self, symbol: str) -> None:
        """Bring a delisted symbol back."""
        self.request("POST", "/relist", symbol=symbol)

    def add_missing(self, start: datetime, end: datetime, symbol: str = "*") -> None:
        """Let the exchange never have had the candles of a window."""
        self.request("POST", "/missing", symbol=symbol, start=start.isoformat(), end=end.isoformat())

    def clear_missing(self, symbol: str = "*") -> None:
        """Give missing candles back."""
        self.request("DELETE", "/missing", symbol=symbol)

    def set_late(self, seconds: float, symbol: str = "*") -> None:
        """Let candles appear late."""
        self.request("POST", "/late", symbol=symbol, seconds=seconds)

    def arm(
        self,
        kind: str,
        path: str = "/api/*",
        method: str = "*",
        symbol: str | None = None,
        count: int = 1,
        skip: int = 0,
        **params: Any,
    ) -> int:
        """Arm a fault (`lib.simulator.faults.KINDS`) and return its number."""
        answer = self.request(
            "POST", "/faults", kind=kind, path=path, method=method, symbol=symbol, count=count, skip=skip, params=params
        )
        return int(answer["number"])

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self.request("DELETE", "/faults")

    def stats(self) -> dict[str, Any]:
        """Return how much the simulator was used."""
        return self.request("GET", "/stats")

    def reset_usage(self) -> None:
        """Forget weights, order counts, bans and statistics."""
        self.request("POST", "/usage/reset")


@dataclass(frozen=True)
class RunningSimulator:
    """A simulator that serves.

    Attributes:
        url: Its root, such as "http://127.0.0.1:45321".
        control: Its control API.
    """

    url: str
    control: Control

    def get(self, path: str, **params: Any) -> Any:
        """GET an API path below /api/v3 and return the decoded JSON of a 200 answer."""
        reply = httpx.get(f"{self.url}/api/v3{path}", params=params, timeout=30, trust_env=False)
        assert reply.status_code == 200, reply.text
        return reply.json()


@contextmanager
def running_simulator(**settings: Any) -> Iterator[RunningSimulator]:
    """Run a simulator on a free port; `settings` are fields of `SimulatorConfig`."""
    app = create_app(SimulatorConfig(port=0, **settings))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    host = settings.get("host", "127.0.0.1")
    try:
        port = asyncio.run_coroutine_threadsafe(_start(runner, host), loop).result(timeout=30)
        simulator = RunningSimulator(f"http://127.0.0.1:{port}", Control(f"http://127.0.0.1:{port}"))
        try:
            yield simulator
        finally:
            simulator.control.close()
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()


async def _start(runner: web.AppRunner, host: str) -> int:
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    return int(runner.addresses[0][1])


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    """A simulator of ten symbols in memory, its clock driven and standing at `START_AT`."""
    with running_simulator(start_at=START_AT) as running:
        yield running
