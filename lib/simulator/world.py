"""The generated world: the undisturbed paths, changed by scenarios, as minutes and as candles of every interval."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from lib.simulator.arrays import Integers
from lib.simulator.candles import (
    BASE,
    CLOSE,
    COLUMNS,
    HIGH,
    LOW,
    OPEN,
    OPENED,
    QUOTE,
    TAKER_BASE,
    TAKER_QUOTE,
    TRADES,
    aggregate,
    drop_spans,
    empty_candles,
    merge,
)
from lib.simulator.instruments import Profile
from lib.simulator.intervals import DAY_MS, FIXED, MINUTE_MS, floor_to_interval
from lib.simulator.market import Instrument
from lib.simulator.minute import span_extremes, value_at
from lib.simulator.path import CLOSE_ROW, HIGH_ROW, LAST_DAY, LOW_ROW, MINUTES, OPEN_ROW, Path
from lib.simulator.segments import Segments
from lib.simulator.source import Spans
from lib.simulator.steps import Steps

CACHED_DAY_ROWS = 100_000


class World:
    """Prices of all symbols as exact functions of time; implements `Source`."""

    def __init__(self, profiles: Mapping[str, Profile], seed: int) -> None:
        self._profiles = profiles
        self._instruments = {symbol: profile.instrument for symbol, profile in profiles.items()}
        self._ticks = {symbol: Steps(profile.instrument) for symbol, profile in profiles.items()}
        self._path = Path(seed, cached_days=2 * len(profiles) + 64)
        self._segments = {symbol: Segments() for symbol in profiles}
        self._hidden: dict[str, Spans] = {}
        self._minutes: OrderedDict[tuple[str, int], Integers] = OrderedDict()
        self._cached_minutes = len(profiles) + 64
        self._day_rows: OrderedDict[tuple[str, int], Integers] = OrderedDict()

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Every symbol of the world."""
        return self._instruments

    def listed_ms(self, symbol: str) -> int:
        """Return the first instant of trading."""
        return self._profiles[symbol].listed_ms

    def ended_ms(self, symbol: str) -> int:  # noqa: ARG002  the same for all symbols, here
        """Return the end of the world."""
        return LAST_DAY * DAY_MS

    def turnover(self, symbol: str) -> float:
        """Return the usual turnover of a day, in quote."""
        return self._profiles[symbol].daily_volume

    def segments(self, symbol: str) -> Segments:
        """Return the segments of a symbol; `reshape` after adding one."""
        return self._segments[symbol]

    def reshape(self, symbol: str, segments: Segments, since_ms: int = 0) -> None:
        """Replace the segments of a symbol; nothing changes before `since_ms`."""
        self._segments[symbol] = segments
        self._forget(symbol, since_ms)

    def hide(self, symbol: str, spans: Spans) -> None:
        """Let the minutes that lie wholly inside the spans never have existed."""
        changed = set(self._hidden.get(symbol, ())) ^ set(spans)
        self._hidden[symbol] = spans
        if changed:
            self._forget(symbol, min(start for start, _ in changed))

    def undisturbed(self, symbol: str, at_ms: int) -> float:
        """Return the price of the undisturbed path at an instant, in quote."""
        path = self._path.day(self._profiles[symbol], at_ms // DAY_MS)
        return value_at(_vertices(path, at_ms % DAY_MS // MINUTE_MS), at_ms % MINUTE_MS)

    def price(self, symbol: str, at_ms: int) -> int:
        """Return the last price at an instant."""
        segment = self._segments[symbol].at(at_ms)
        if segment.flat:
            return segment.price
        minute_ms = at_ms // MINUTE_MS * MINUTE_MS
        return self._ticks[symbol].round_price(segment.factor(minute_ms) * self.undisturbed(symbol, at_ms))

    def range(self, symbol: str, from_ms: int, to_ms: int) -> tuple[int, int]:
        """Return low and high of the prices from `from_ms` to `to_ms`."""
        first_full = -(-from_ms // MINUTE_MS) * MINUTE_MS
        last_full = to_ms // MINUTE_MS * MINUTE_MS
        if first_full > last_full:
            _, high, low, _ = self._extremes(symbol, from_ms, to_ms)
            return low, high
        lows, highs = [], []
        for start, end in ((from_ms, first_full), (last_full, to_ms)):
            _, high, low, _ = self._extremes(symbol, start, end)
            lows.append(low)
            highs.append(high)
        for part in self._full_minutes(symbol, first_full, last_full):
            lows.append(int(part[LOW].min()))
            highs.append(int(part[HIGH].max()))
        return min(lows), max(highs)

    def candles(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> Integers:
        """Return the complete candles that open in [from_ms, to_ms)."""
        from_ms = max(from_ms, self._profiles[symbol].listed_ms)
        if from_ms >= to_ms:
            return empty_candles()
        if FIXED.get(interval, DAY_MS + 1) >= DAY_MS:
            days = [self._day_row(symbol, day) for day in range(from_ms // DAY_MS, to_ms // DAY_MS)]
            return aggregate(np.concatenate(days, axis=1), interval)
        hidden = self._hidden.get(symbol, ())
        minutes = [drop_spans(part, "1m", hidden) for part in self._full_minutes(symbol, from_ms, to_ms)]
        days = minutes if interval == "1m" else [aggregate(part, interval) for part in minutes]
        return np.concatenate(days, axis=1)

    def part(self, symbol: str, interval: str, from_ms: int, at_ms: int) -> Integers:
        """Return what traded from `from_ms` to `at_ms` as one candle of `interval`, or none."""
        minute_ms = at_ms // MINUTE_MS * MINUTE_MS
        today_ms = at_ms // DAY_MS * DAY_MS
        parts = []
        if from_ms < today_ms and from_ms % DAY_MS == 0:
            parts.append(self.candles(symbol, "1d", from_ms, today_ms))
            from_ms = today_ms
        minutes = [*self._full_minutes(symbol, from_ms, minute_ms), self._part_of_minute(symbol, at_ms)]
        hidden = self._hidden.get(symbol, ())
        parts += [drop_spans(part, "1m", hidden) for part in minutes]
        return merge(np.concatenate(parts, axis=1), floor_to_interval(at_ms, interval))

    def _forget(self, symbol: str, since_ms: int) -> None:
        for cache in (self._minutes, self._day_rows):
            for key in [key for key in cache if key[0] == symbol and key[1] >= since_ms // DAY_MS]:
                del cache[key]

    def _day_row(self, symbol: str, day: int) -> Integers:
        key = (symbol, day)
        if key not in self._day_rows:
            minutes = drop_spans(self._minutes_of(symbol, day), "1m", self._hidden.get(symbol, ()))
            self._day_rows[key] = merge(minutes, day * DAY_MS)
            if len(self._day_rows) > CACHED_DAY_ROWS:
                self._day_rows.popitem(last=False)
        return self._day_rows[key]

    def _full_minutes(self, symbol: str, from_ms: int, to_ms: int) -> list[Integers]:
        """Return the minutes that open in [from_ms, to_ms), day by day; hidden ones too."""
        parts = []
        for day in range(from_ms // DAY_MS, -(-to_ms // DAY_MS)):
            first = max(0, (from_ms - day * DAY_MS) // MINUTE_MS)
            last = min(MINUTES, (to_ms - day * DAY_MS) // MINUTE_MS)
            if first < last:
                parts.append(self._minutes_of(symbol, day)[:, first:last])
        return parts

    def _minutes_of(self, symbol: str, day: int) -> Integers:
        key = (symbol, day)
        minutes = self._minutes.get(key)
        if minutes is not None:
            self._minutes.move_to_end(key)
            return minutes
        minutes = self._minutes[key] = self._build_day(symbol, day)
        if len(self._minutes) > self._cached_minutes:
            self._minutes.popitem(last=False)
        return minutes

    def _build_day(self, symbol: str, day: int) -> Integers:
        path = self._path.day(self._profiles[symbol], day)
        start_ms, steps, segments = day * DAY_MS, self._ticks[symbol], self._segments[symbol]
        minutes = np.empty((COLUMNS, MINUTES), dtype=np.int64)
        minutes[OPENED] = start_ms + np.arange(MINUTES) * MINUTE_MS
        for piece_start, piece_end, segment in segments.within(start_ms, start_ms + DAY_MS):
            first = -(-(piece_start - start_ms) // MINUTE_MS)
            last = -(-(piece_end - start_ms) // MINUTE_MS)
            prices = path[[OPEN_ROW, HIGH_ROW, LOW_ROW, CLOSE_ROW], first:last]
            minutes[OPEN : CLOSE + 1, first:last] = steps.scale_prices(prices, minutes[OPENED, first:last], segment)
        for minute_ms in segments.boundary_minutes(start_ms, start_ms + DAY_MS):
            column = (minute_ms - start_ms) // MINUTE_MS
            minutes[OPEN : CLOSE + 1, column] = self._extremes(symbol, minute_ms, minute_ms + MINUTE_MS - 1)
            minutes[CLOSE, column] = self._last_price(symbol, minute_ms)
            minutes[HIGH, column] = max(minutes[HIGH, column], minutes[CLOSE, column])
            minutes[LOW, column] = min(minutes[LOW, column], minutes[CLOSE, column])
        steps.fill_volumes(minutes, path)
        return minutes

    def _last_price(self, symbol: str, minute_ms: int) -> int:
        """Return the price at the very end of a minute, under the segment that is in force then."""
        segment = self._segments[symbol].at(minute_ms + MINUTE_MS - 1)
        if segment.flat:
            return segment.price
        path = self._path.day(self._profiles[symbol], minute_ms // DAY_MS)
        close = float(path[CLOSE_ROW, minute_ms % DAY_MS // MINUTE_MS])
        return self._ticks[symbol].round_price(segment.factor(minute_ms) * close)

    def _extremes(self, symbol: str, from_ms: int, to_ms: int) -> tuple[int, int, int, int]:
        """Return open, high, low, close of [from_ms, to_ms], which lies within one minute."""
        minute_ms = from_ms // MINUTE_MS * MINUTE_MS
        path = self._path.day(self._profiles[symbol], minute_ms // DAY_MS)
        vertices = _vertices(path, minute_ms % DAY_MS // MINUTE_MS)
        seen: list[tuple[int, int, int, int]] = []
        for start, end, segment in self._segments[symbol].within(from_ms, to_ms + 1):
            if segment.flat:
                seen.append((segment.price,) * 4)
                continue
            factor = segment.factor(minute_ms)
            # A piece before another segment runs up to the very instant at which that one starts.
            until = end if end <= to_ms else to_ms
            values = span_extremes(vertices, start - minute_ms, until - minute_ms)
            first, high, low, last = (self._ticks[symbol].round_price(factor * value) for value in values)
            seen.append((first, high, low, last))
        return seen[0][0], max(piece[1] for piece in seen), min(piece[2] for piece in seen), seen[-1][3]

    def _part_of_minute(self, symbol: str, at_ms: int) -> Integers:
        """Return the running minute up to `at_ms`, shape `(10, 1)`."""
        minute_ms, elapsed = at_ms // MINUTE_MS * MINUTE_MS, at_ms % MINUTE_MS
        column = minute_ms % DAY_MS // MINUTE_MS
        part = self._minutes_of(symbol, minute_ms // DAY_MS)[:, column : column + 1].copy()
        part[OPEN : CLOSE + 1, 0] = self._extremes(symbol, minute_ms, at_ms)
        steps = self._ticks[symbol]
        for row, unit in ((BASE, steps.step), (TAKER_BASE, steps.step), (QUOTE, 1), (TAKER_QUOTE, 1), (TRADES, 1)):
            part[row, 0] = int(part[row, 0]) * elapsed // MINUTE_MS // unit * unit
        return part


def _vertices(
    path: np.ndarray[tuple[int, int], np.dtype[np.float64]], minute: int
) -> tuple[float, float, float, float]:
    opened, high, low, closed = path[:4, minute].tolist()
    return (opened, low, high, closed) if closed >= opened else (opened, high, low, closed)
