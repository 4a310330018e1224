"""Simulator: klines requests a second of 500 symbols, asked by aiohttp in a second process."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import psutil

from benchmarks.measuring import render_spread, show_table
from benchmarks.servers import UNLIMITED_WEIGHT, Simulator, calc_cpu_seconds, running_simulator

SYMBOLS = 500
ROUNDS = 5
REQUESTS = 2000  # of one round
IN_FLIGHT = 20  # as one process of ours
# What is asked, by the reason for which the platform asks it.
QUESTIONS = {
    "one due candle (5m, limit 2)": {"interval": "5m", "limit": "2"},
    "a page of history (5m, limit 1000)": {"interval": "5m", "limit": "1000"},
    "a page of history (1h, limit 1000)": {"interval": "1h", "limit": "1000"},
}


@dataclass(frozen=True)
class Load:
    """One round: seconds, and processor seconds of the simulator and of the load generator."""

    seconds: float
    server_cpu: float
    client_cpu: float


def run() -> None:
    with running_simulator(SYMBOLS, UNLIMITED_WEIGHT) as simulator:
        names = [symbol.replace("/", "") for symbol in simulator.load_symbols()]
        table = []
        for question, params in QUESTIONS.items():
            first = asyncio.run(_ask(simulator, [{**params, "symbol": name} for name in names]))
            table.append(_to_row(f"{question}, the first of each symbol", [first], len(names)))
            targets = itertools.islice(itertools.cycle({**params, "symbol": name} for name in names), REQUESTS)
            asked = list(targets)
            rounds = [asyncio.run(_ask(simulator, asked)) for _ in range(ROUNDS)]
            table.append(_to_row(question, rounds, REQUESTS))
    show_table(("klines of 500 symbols", "requests a second", "processor, server", "processor, client"), table)


def _to_row(what: str, rounds: list[Load], requests: int) -> tuple[str, str, str, str]:
    return (
        what,
        render_spread([requests / load.seconds for load in rounds], 0),
        render_spread([100 * load.server_cpu / load.seconds for load in rounds], 0) + " %",
        render_spread([100 * load.client_cpu / load.seconds for load in rounds], 0) + " %",
    )


async def _ask(simulator: Simulator, requests: list[dict[str, str]]) -> Load:
    """Send the requests, `IN_FLIGHT` at once over kept connections, and read each answer to its end."""
    waiting = iter(requests)
    us = psutil.Process()
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        before = calc_cpu_seconds(simulator.process), calc_cpu_seconds(us)
        started = time.perf_counter()
        await asyncio.gather(*(_send_all(session, f"{simulator.url}/api/v3/klines", waiting) for _ in range(IN_FLIGHT)))
        seconds = time.perf_counter() - started
    return Load(seconds, calc_cpu_seconds(simulator.process) - before[0], calc_cpu_seconds(us) - before[1])


async def _send_all(session: aiohttp.ClientSession, url: str, waiting: Iterator[dict[str, str]]) -> None:
    for params in waiting:
        async with session.get(url, params=params) as answer:
            body = await answer.read()
            if answer.status != 200 or not body.startswith(b"[["):
                raise RuntimeError(f"Expected candles, was {answer.status}: {body[:200]!r}")
