"""Requests that need little do not wait for those that need much."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp

from lib.units import to_milliseconds
from tests.simulators import START_AT, RunningSimulator

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT", "DOTUSDT")


async def test_the_time_and_prices_are_told_while_first_pages_of_history_are_drawn(
    simulator: RunningSimulator,
) -> None:
    api = f"{simulator.url}/api/v3"
    answered: list[str] = []

    async def ask(session: aiohttp.ClientSession, path: str, **params: str | int) -> int:
        async with session.get(f"{api}{path}", params=params) as reply:
            count = len(await reply.json())
        answered.append(path)
        return count

    since = to_milliseconds(START_AT - timedelta(days=600))
    sent, all_sent = 0, asyncio.Event()

    async def count(*_: object) -> None:
        nonlocal sent
        sent += 1
        if sent > len(SYMBOLS):  # the ping, and all pages
            all_sent.set()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(count)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session, asyncio.TaskGroup() as group:
        await ask(session, "/ping")
        pages = [
            group.create_task(ask(session, "/klines", symbol=symbol, interval="1d", startTime=since, limit=1000))
            for symbol in SYMBOLS
        ]
        await all_sent.wait()  # the pages are asked for first
        await ask(session, "/time")
        await ask(session, "/ticker/price")
    assert [page.result() for page in pages] == [600] * len(SYMBOLS)
    assert answered.index("/ticker/price") < len(answered) - 2
