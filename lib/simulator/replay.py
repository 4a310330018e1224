"""Recorded candles in place of the generated world; implements `Source`.

The recorded candles of an interval are answered as they are. Intervals and windows that were not recorded are
aggregated from the finest recording; only whole candles, since a recording's first and last may be cut. The price at
an instant runs through the finest candle that covers it, and stands still where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import numpy as np

from lib.simulator.arrays import Integers
from lib.simulator.candles import (
    BASE,
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    OPENED,
    PRICE_UNITS,
    QUOTE,
    QUOTE_UNITS,
    aggregate,
    drop_spans,
    drop_untraded,
    empty_candles,
    merge,
    to_units,
)
from lib.simulator.instruments import make_instrument, make_instrument_at
from lib.simulator.intervals import DAY_MS, FIXED, NAMES, floor_to_interval, next_all, next_open
from lib.simulator.market import Instrument
from lib.simulator.minute import Vertices, span_extremes, value_at
from lib.simulator.recordings import Recording, read_recordings
from lib.simulator.source import Spans


class Replay:
    """A folder of recordings as the exchange's whole history."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            ValueError: As `read_recordings`.
        """
        self._recordings = read_recordings(folder)
        self._instruments = {symbol: _to_instrument(record) for symbol, record in self._recordings.items()}
        self._timelines = {symbol: _Timeline(record) for symbol, record in self._recordings.items()}
        self._hidden: dict[str, Spans] = {}
        self._candles: dict[tuple[str, str], Integers] = {}

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Every recorded symbol; tick and step are the finest that occur."""
        return self._instruments

    def listed_ms(self, symbol: str) -> int:
        """Return the first recorded instant."""
        return int(self._timelines[symbol].opened[0])

    def ended_ms(self, symbol: str) -> int:
        """Return the end of the recording."""
        return int(self._timelines[symbol].ended[-1])

    def turnover(self, symbol: str) -> float:
        """Return the mean turnover of a recorded day, in quote."""
        candles = self._timelines[symbol].candles
        recorded_ms = float((self._timelines[symbol].ended - candles[OPENED]).sum())
        return float(candles[QUOTE].sum()) / QUOTE_UNITS * DAY_MS / recorded_ms

    def hide(self, symbol: str, spans: Spans) -> None:
        """Let the candles that lie wholly inside the spans never have existed."""
        self._hidden[symbol] = spans
        for key in [key for key in self._candles if key[0] == symbol]:
            del self._candles[key]

    def candles(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> Integers:
        """Return the complete candles that open in [from_ms, to_ms)."""
        key = (symbol, interval)
        if key not in self._candles:
            self._candles[key] = self._combine(symbol, interval)
        candles = self._candles[key]
        first, last = np.searchsorted(candles[OPENED], [from_ms, to_ms]).tolist()
        return candles[:, first:last]

    def part(self, symbol: str, interval: str, from_ms: int, at_ms: int) -> Integers:
        """Return what traded from `from_ms` to `at_ms` as one candle of `interval`, or none."""
        timeline = self._timelines[symbol]
        first = int(np.searchsorted(timeline.opened, from_ms))
        last = int(np.searchsorted(timeline.ended, at_ms, "right"))
        rows = [timeline.candles[:, first:last]] if last > first else []
        opened_ms = floor_to_interval(at_ms, interval)
        running = timeline.running(at_ms)
        # A recorded candle wider than what is asked says nothing about its parts.
        if running >= max(first, 0) and timeline.ended[running] <= next_open(opened_ms, interval):
            rows.append(timeline.part_of(running, at_ms, to_units(self._instruments[symbol].tick_size)))
        hidden, width = self._hidden.get(symbol, ()), timeline.ended
        kept = [_drop_hidden(row, width[np.searchsorted(timeline.opened, row[OPENED])], hidden) for row in rows]
        if not kept:
            return empty_candles()
        joined = np.concatenate(kept, axis=1)
        traded = joined[BASE] > 0
        return merge(joined[:, traded] if traded.any() else joined, opened_ms)

    def price(self, symbol: str, at_ms: int) -> int:
        """Return the last price at an instant; before the recording its first price."""
        return self._timelines[symbol].price(at_ms, to_units(self._instruments[symbol].tick_size))

    def range(self, symbol: str, from_ms: int, to_ms: int) -> tuple[int, int]:
        """Return low and high of the prices from `from_ms` to `to_ms`."""
        return self._timelines[symbol].range(from_ms, to_ms, to_units(self._instruments[symbol].tick_size))

    def _combine(self, symbol: str, interval: str) -> Integers:
        """Return the recorded candles of an interval, completed by whole ones aggregated from finer recordings."""
        series, hidden = self._recordings[symbol].series, self._hidden.get(symbol, ())
        combined = drop_spans(series.get(interval, empty_candles()), interval, hidden)
        for name in NAMES[: NAMES.index(interval)]:
            if name in series and _divides(name, interval):
                traded = drop_untraded(drop_spans(series[name], name, hidden), interval)
                whole = _keep_whole(aggregate(traded, interval), series[name], name, interval)
                fresh = whole[:, ~np.isin(whole[OPENED], combined[OPENED])]
                combined = np.concatenate([combined, fresh], axis=1)
        return combined[:, np.argsort(combined[OPENED])]


class _Timeline:
    """The finest recorded candle at every instant, without overlaps, rising in time."""

    def __init__(self, recording: Recording) -> None:
        self.candles, self.ended = empty_candles(), np.empty(0, dtype=np.int64)
        for name in NAMES:
            if name in recording.series:
                self._add(recording.series[name], name)
        self.opened = self.candles[OPENED]

    def running(self, at_ms: int) -> int:
        """Return the index of the candle that holds an instant, or -1."""
        index = int(np.searchsorted(self.opened, at_ms, "right")) - 1
        return index if index >= 0 and at_ms < self.ended[index] else -1

    def price(self, at_ms: int, tick: int) -> int:
        """Return the price at an instant, on the grid of ticks."""
        index = int(np.searchsorted(self.opened, at_ms, "right")) - 1
        if index < 0:
            return int(self.candles[OPEN, 0])
        opened_ms, ended_ms = int(self.opened[index]), int(self.ended[index])
        if at_ms >= ended_ms:
            return int(self.candles[CLOSE, index])
        return _round(value_at(self._vertices(index), at_ms - opened_ms, ended_ms - opened_ms), tick)

    def range(self, from_ms: int, to_ms: int, tick: int) -> tuple[int, int]:
        """Return low and high from one instant to another."""
        ends = (self.price(from_ms, tick), self.price(to_ms, tick))
        low, high = min(ends), max(ends)
        first = max(0, int(np.searchsorted(self.opened, from_ms, "right")) - 1)
        last = int(np.searchsorted(self.opened, to_ms, "right"))
        for index in {first, last - 1} if last > first else set():
            opened_ms, width = int(self.opened[index]), int(self.ended[index] - self.opened[index])
            start, end = max(0, from_ms - opened_ms), min(width, to_ms - opened_ms)
            if start < end:
                _, top, bottom, _ = span_extremes(self._vertices(index), start, end, width)
                low, high = min(low, _round(bottom, tick)), max(high, _round(top, tick))
        if last - first > 2:
            low = min(low, int(self.candles[LOW, first + 1 : last - 1].min()))
            high = max(high, int(self.candles[HIGH, first + 1 : last - 1].max()))
        return low, high

    def part_of(self, index: int, at_ms: int, tick: int) -> Integers:
        """Return a candle up to an instant inside it, shape `(10, 1)`."""
        part = self.candles[:, index : index + 1].copy()
        opened_ms = int(self.opened[index])
        elapsed, width = at_ms - opened_ms, int(self.ended[index]) - opened_ms
        _, high, low, last = span_extremes(self._vertices(index), 0, elapsed, width)
        part[HIGH : CLOSE + 1, 0] = [_round(value, tick) for value in (high, low, last)]
        part[BASE:, 0] = [amount * elapsed // width for amount in part[BASE:, 0].tolist()]
        return part

    def _add(self, candles: Integers, interval: str) -> None:
        """Add the candles of a coarser recording where no finer one has any."""
        opened, ended = candles[OPENED], next_all(candles[OPENED], interval)
        left = np.searchsorted(self.candles[OPENED], opened)
        right = np.searchsorted(self.candles[OPENED], ended)
        before = np.concatenate([[-(2**62)], self.ended])[left]
        free = (left == right) & (before <= opened)
        joined = np.concatenate([self.candles, candles[:, free]], axis=1)
        order = np.argsort(joined[OPENED])
        self.candles = joined[:, order]
        self.ended = np.concatenate([self.ended, ended[free]])[order]

    def _vertices(self, index: int) -> Vertices:
        opened, high, low, closed = self.candles[OPEN : CLOSE + 1, index].astype(np.float64).tolist()
        return (opened, low, high, closed) if closed >= opened else (opened, high, low, closed)


def _round(price: float, tick: int) -> int:
    return max(1, round(price / tick)) * tick


def _divides(fine: str, coarse: str) -> bool:
    """Tell whether candles of one interval fill those of another."""
    return FIXED[fine] <= DAY_MS if coarse == "1M" else FIXED[coarse] % FIXED[fine] == 0


def _keep_whole(wide: Integers, source: Integers, fine: str, coarse: str) -> Integers:
    first_ms, end_ms = int(source[OPENED, 0]), next_open(int(source[OPENED, -1]), fine)
    inside = (wide[OPENED] >= first_ms) & (next_all(wide[OPENED], coarse) <= end_ms)
    return wide[:, inside]


def _drop_hidden(candles: Integers, ended: Integers, spans: Spans) -> Integers:
    keep = np.ones(candles.shape[1], dtype=bool)
    for start, end in spans:
        keep &= ~((candles[OPENED] >= start) & (ended <= end))
    return candles[:, keep]


def _to_instrument(recording: Recording) -> Instrument:
    prices = np.concatenate([series[OPEN : CLOSE + 1].ravel() for series in recording.series.values()])
    volumes = np.concatenate([series[BASE] for series in recording.series.values()])
    usual = make_instrument_at(recording.base, recording.quote, float(prices[-1]) / PRICE_UNITS)
    return make_instrument(
        recording.base,
        recording.quote,
        str(_finest_step(prices)),
        str(_finest_step(volumes)),
        str(usual.max_quantity),
        str(usual.max_market_quantity),
    )


def _finest_step(units: Integers) -> Decimal:
    """Return the largest power of ten, at most 1, that divides all values."""
    decimals = next((count for count in range(8) if not (units % 10 ** (8 - count)).any()), 8)
    return Decimal(1).scaleb(-decimals)
