"""One synchronisation in a process of its own, as a flow run is one.

``python -m benchmarks.sync_process`` synchronises by the settings of its environment and prints what it took as JSON;
`Fks.sync` runs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from lib.adapters.database.engine import make_engine
from lib.adapters.exchange.binance import BinanceExchange
from lib.platform import Platform
from lib.settings import load_settings
from lib.tasks import market
from lib.wiring import open_platform

SYNC_SECONDS = 600


@dataclass(frozen=True)
class Synced:
    """What one synchronisation took.

    Attributes:
        process_seconds: From the start of the process to its end.
        seconds: Of sync_market_data alone.
        cpu_seconds: Of this process meanwhile.
        process_cpu_seconds: Of this process from its start, imports included.
        peak_megabytes: The most memory of this process.
        requests: Sent to the exchange.
        weight: Their request weight.
        in_flight_peak: The most requests at once.
        in_flight_mean: Averaged over `seconds`.
        reply_ms: Mean wait for an answer.
        budget_ms: Mean wait for weight: for a turn at the shared sum, and for the next minute where it was spent.
        summary: What it says that it did.
    """

    process_seconds: float
    seconds: float
    cpu_seconds: float
    process_cpu_seconds: float
    peak_megabytes: float
    requests: int
    weight: int
    in_flight_peak: int
    in_flight_mean: float
    reply_ms: float
    budget_ms: float
    summary: str


@dataclass(frozen=True)
class Fks:
    """We, on one database and one simulator, keeping some symbols.

    Attributes:
        history_days: By timeframe.
    """

    database_url: str
    simulator_url: str
    symbols: Sequence[str]
    history_days: Mapping[str, int]

    def sync(self) -> Synced:
        """Synchronise once in a new process."""
        bases = [symbol.split("/")[0] for symbol in self.symbols]
        settings = {
            "FKS_DATABASE_URL": self.database_url,
            "FKS_EXCHANGE_URL": self.simulator_url,
            "FKS_MAINS": json.dumps(bases[:3]),
            "FKS_ALTS": json.dumps(bases[3:]),
            "FKS_HISTORY_DAYS": json.dumps(dict(self.history_days)),
        }
        command = [sys.executable, "-m", "benchmarks.sync_process"]
        started = time.perf_counter()
        done = subprocess.run(
            command, env=os.environ | settings, stdout=subprocess.PIPE, text=True, timeout=SYNC_SECONDS, check=True
        )
        synced = Synced(**json.loads(done.stdout.splitlines()[-1]))
        return replace(synced, process_seconds=time.perf_counter() - started)


async def sync() -> Synced:
    settings = load_settings()
    if settings.database_url is None:
        raise SystemExit("FKS_DATABASE_URL is not set.")
    engine = make_engine(settings.database_url.get_secret_value())
    async with open_platform(engine, settings) as platform:
        synced = await _measure(platform)
    engine.dispose()
    return synced


async def _measure(platform: Platform) -> Synced:
    if not isinstance(platform.exchange, BinanceExchange):
        raise SystemExit("Only a Binance-like exchange counts its traffic.")
    started, cpu = time.perf_counter(), time.process_time()
    result = await market.sync_market_data(platform)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    traffic = platform.exchange.link.traffic
    return Synced(
        0.0,
        seconds,
        cpu,
        time.process_time(),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        traffic.requests,
        traffic.weight,
        traffic.peak_in_flight,
        traffic.reply_seconds / seconds,
        1000 * traffic.reply_seconds / max(traffic.requests, 1),
        1000 * traffic.budget_seconds / max(traffic.requests, 1),
        result.summary,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(sync()))))
