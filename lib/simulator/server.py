"""The simulator's program: it builds the market and the account half and serves them over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from lib.simulator import control_api, fault_replies, feed, limits, private_api, public_api, statistics
from lib.simulator.answers import to_error_answer
from lib.simulator.api_errors import ApiError
from lib.simulator.clock import DrivenClock, RealClock
from lib.simulator.control import LISTING, guard_control
from lib.simulator.exchange_market import ExchangeMarket
from lib.simulator.faults import Faults
from lib.simulator.instruments import make_profiles
from lib.simulator.limits import CHARGES, Limits
from lib.simulator.market import Clock
from lib.simulator.replay import Replay
from lib.simulator.source import Source
from lib.simulator.state import StateFile
from lib.simulator.world import World

EARLIEST_START = datetime(2017, 10, 1, tzinfo=UTC)  # the demo account looks a month back on the generated world
LATEST_START = datetime(2049, 1, 1, tzinfo=UTC)
LARGEST_BODY = 64 * 1024  # no request of the API comes near it


@dataclass(frozen=True)
class SimulatorConfig:
    """How a simulator runs.

    Attributes:
        port: 0 for any free one.
        seed: The generated world is a function of it.
        symbols_count: Size of the generated world, 1 to 500; the first ten are Binance's.
        state_path: Folder that keeps what was done to the market and the account's books; None for memory only.
        replay_folder: Recorded candles (see `replay`) take the place of the generated world.
        start_at: Aware start instant of a driven clock; None for the machine's clock. A kept driven time goes on.
        weight_limit_per_minute: Request weight of one IP.
        demo_account: Whether the account "simulator-key" exists.
    """

    host: str = "127.0.0.1"
    port: int = 8900
    seed: int = 1
    symbols_count: int = 10
    state_path: Path | None = None
    replay_folder: Path | None = None
    start_at: datetime | None = None
    weight_limit_per_minute: int = 6000
    demo_account: bool = True


def create_app(config: SimulatorConfig) -> web.Application:
    """Build the simulator.

    Raises:
        ValueError: When a setting, the kept state or the recording cannot be used; the text names the remedy.
    """
    if config.state_path is not None:
        config.state_path.mkdir(parents=True, exist_ok=True)
    kept = StateFile(config.state_path)
    state = kept.load(config.seed if config.replay_folder is None else None)
    clock = _make_clock(config, state.clock_ms)
    market = ExchangeMarket(_make_source(config), clock, kept, state)
    faults, budget, counts = Faults(), Limits(config.weight_limit_per_minute), statistics.Statistics()
    middlewares = [
        guard_control,
        statistics.to_middleware(counts),
        limits.to_middleware(budget),
        fault_replies.to_middleware(faults),
        answer_errors,
    ]
    app = web.Application(middlewares=middlewares, client_max_size=LARGEST_BODY)
    app[CHARGES], app[LISTING] = {}, []
    public_api.add_routes(app, market, config.weight_limit_per_minute)
    control_api.add_routes(app, market, faults, budget, counts)
    feed.add_routes(app, market.source, clock, config.seed)
    private_api.add_routes(
        app, private_api.open_exchange(market, clock, faults, config.state_path, demo_account=config.demo_account)
    )
    return app


def run(config: SimulatorConfig) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SystemExit: With a message for people when the port is taken.
        ValueError: As `create_app`.
    """
    app = create_app(config)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(app, config))


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the exchange's errors as Binance writes them."""
    try:
        return await handler(request)
    except ApiError as error:
        return to_error_answer(error)


async def _serve(app: web.Application, config: SimulatorConfig) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port, backlog=1024).start()
        print(f"Simulator on http://{config.host}:{runner.addresses[0][1]}", flush=True)
        await stopped.wait()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise SystemExit(
            f"Port {config.port} on {config.host} is taken by another program. "
            "Stop that program, or give the simulator another port."
        ) from None
    finally:
        await runner.cleanup()


def _make_source(config: SimulatorConfig) -> Source:
    if config.replay_folder is not None:
        return Replay(config.replay_folder)
    return World(make_profiles(config.symbols_count), config.seed)


def _make_clock(config: SimulatorConfig, kept_ms: int | None) -> Clock:
    if config.start_at is None:
        return RealClock()
    if config.start_at.tzinfo is None:
        raise ValueError(f"Expected a start instant with a time zone, was {config.start_at}.")
    if config.replay_folder is None and not EARLIEST_START <= config.start_at < LATEST_START:
        raise ValueError(
            f"Expected a start instant from {EARLIEST_START:%Y-%m-%d} to {LATEST_START:%Y-%m-%d} in the generated "
            f"world, was {config.start_at:%Y-%m-%d}."
        )
    start_ms = int(config.start_at.timestamp() * 1000)
    return DrivenClock(start_ms if kept_ms is None else kept_ms)
