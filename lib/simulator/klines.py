"""The klines of every symbol and interval as text, cached; the running candle is drawn afresh for each request."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from lib.simulator.candles import KlineText, render
from lib.simulator.intervals import DAY_MS, FIXED, chunk_of, floor_to_interval, next_open
from lib.simulator.source import Source

Key = tuple[str, str, int, int]
CACHED_BYTES = 160_000_000  # a thousand 5m candles of 500 symbols, and some


@dataclass(frozen=True)
class KlineQuery:
    """What a request for klines asks.

    Attributes:
        start_ms: First open time wanted; None for the newest candles.
        end_ms: Last open time wanted; None for up to now.
        limit: Most candles answered, from the start if there is one, else up to the end.
    """

    symbol: str
    interval: str
    start_ms: int | None
    end_ms: int | None
    limit: int


@dataclass
class Klines:
    """Klines of a source.

    Attributes:
        source: Where candles come from.
        late_ms: By symbol, how long after its close a candle appears; a late symbol shows no running candle.
    """

    source: Source
    late_ms: dict[str, int] = field(default_factory=dict)
    _chunks: OrderedDict[Key, KlineText] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def forget(self, symbol: str, since_ms: int) -> None:
        """Drop what is cached of a symbol, because its path or its gaps changed from `since_ms` on."""
        for key in [key for key in self._chunks if key[0] == symbol and key[3] > since_ms]:
            self._bytes -= len(self._chunks.pop(key).text)

    async def draw(self, query: KlineQuery, now_ms: int) -> None:
        """Draw what `select` is going to need, chunk by chunk: requests that need little are served in between.

        A thousand candles of a day take the path of a thousand days, up to a second. One request draws at a time, so
        that the first to come is the first to be answered.
        """
        needed = (_to_key(query.symbol, query.interval, at, now_ms) for at in self._find_chunks(query, now_ms))
        if all(key in self._chunks for key in needed):
            return
        async with self._turn:
            for position in self._find_chunks(query, now_ms):
                self._chunk(query.symbol, query.interval, position, now_ms)
                await asyncio.sleep(0)

    def select(self, query: KlineQuery, now_ms: int) -> bytes:
        """Return the answer to a request, a JSON array, at exchange time `now_ms`."""
        late_ms = self.late_ms.get(query.symbol, 0)
        running_ms = floor_to_interval(now_ms - late_ms, query.interval)  # every candle before it is shown
        listed_ms = self.source.listed_ms(query.symbol)
        first_ms = floor_to_interval(listed_ms, query.interval)
        end_ms = min(query.end_ms, now_ms) if query.end_ms is not None else now_ms
        last_ms = min(end_ms, running_ms - 1)
        running = b""
        if not late_ms and listed_ms <= now_ms and (query.start_ms or 0) <= running_ms <= end_ms:
            part = self.source.part(query.symbol, query.interval, running_ms, now_ms)
            running = render(part, query.interval).text[:-1]
        if query.start_ms is not None:
            rows, count = self._forward(query, max(query.start_ms, first_ms), last_ms, now_ms)
            rows += [running] if running and count < query.limit else []
        else:
            newest = [running] if running else []
            rows = self._backward(query, first_ms, last_ms, query.limit - len(newest), now_ms) + newest
        return b"[" + b",".join(rows) + b"]"

    def _forward(self, query: KlineQuery, first_ms: int, last_ms: int, now_ms: int) -> tuple[list[bytes], int]:
        """Return the first candles that open in [first_ms, last_ms], and how many they are."""
        rows: list[bytes] = []
        count, position = 0, first_ms
        last_ms = min(last_ms, self.source.ended_ms(query.symbol) - 1)
        while position <= last_ms and count < query.limit:
            chunk, end_ms = self._chunk(query.symbol, query.interval, position, now_ms)
            first = int(np.searchsorted(chunk.opened, position))
            last = min(int(np.searchsorted(chunk.opened, last_ms, "right")), first + query.limit - count)
            if last > first:
                rows.append(chunk.rows(first, last))
                count += last - first
            position = end_ms
        return rows, count

    def _backward(self, query: KlineQuery, first_ms: int, last_ms: int, limit: int, now_ms: int) -> list[bytes]:
        """Return the last candles that open in [first_ms, last_ms], oldest first."""
        rows: list[bytes] = []
        count, position = 0, min(last_ms, self.source.ended_ms(query.symbol) - 1)
        while position >= first_ms and count < limit:
            chunk, _ = self._chunk(query.symbol, query.interval, position, now_ms)
            last = int(np.searchsorted(chunk.opened, position, "right"))
            first = max(0, last - (limit - count))
            if last > first:
                rows.insert(0, chunk.rows(first, last))
                count += last - first
            position = chunk_of(position, query.interval)[0] - 1
        return rows

    def _find_chunks(self, query: KlineQuery, now_ms: int) -> Iterator[int]:
        """Yield where each chunk starts that the answer needs if no candle is missing."""
        span = query.limit * FIXED.get(query.interval, 31 * DAY_MS)
        end_ms = min(query.end_ms if query.end_ms is not None else now_ms, now_ms)
        start_ms = query.start_ms if query.start_ms is not None else end_ms - span
        position = max(start_ms, self.source.listed_ms(query.symbol))
        end_ms = min(end_ms, position + span, self.source.ended_ms(query.symbol) - 1)
        while position <= end_ms:
            yield position
            position = chunk_of(position, query.interval)[1]

    def _chunk(self, symbol: str, interval: str, instant_ms: int, now_ms: int) -> tuple[KlineText, int]:
        """Return the rendered candles around an instant, and where the next chunk starts."""
        key = _to_key(symbol, interval, instant_ms, now_ms)
        _, _, start_ms, built_to = key
        end_ms = chunk_of(instant_ms, interval)[1]
        chunk = self._chunks.get(key)
        if chunk is not None:
            self._chunks.move_to_end(key)
            return chunk, end_ms
        chunk = render(self.source.candles(symbol, interval, start_ms, built_to), interval)
        self._chunks[key] = chunk
        self._bytes += len(chunk.text)
        while self._bytes > CACHED_BYTES and len(self._chunks) > 1:
            self._bytes -= len(self._chunks.popitem(last=False)[1].text)
        return chunk, end_ms


def _to_key(symbol: str, interval: str, instant_ms: int, now_ms: int) -> Key:
    start_ms, end_ms = chunk_of(instant_ms, interval)
    # A chunk reaches into the future only to the end of today: the rest of a long one would be drawn in vain.
    built_to = min(end_ms, next_open(floor_to_interval((now_ms // DAY_MS + 1) * DAY_MS - 1, interval), interval))
    return symbol, interval, start_ms, built_to
