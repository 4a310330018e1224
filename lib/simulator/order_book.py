"""Order books and public trades: deterministic functions of the symbol, its price and the second."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from lib.simulator.arrays import Floats, Integers
from lib.simulator.candles import to_price, to_units
from lib.simulator.market import Book
from lib.simulator.source import Source

SPREAD_PARTS = 50_000  # the spread is one part of so many of the price, at least two ticks
LEVEL_SHARE = 2e-5  # of a day's turnover rests on the best level; deeper ones hold more


def make_book(source: Source, symbol: str, at_ms: int, levels: int) -> tuple[Integers, Integers]:
    """Return bids and asks, each shape `(2, n)`: prices and quantities in units of 1e-8, best first.

    The best prices lie symmetrically around the last price; bids end where the price would be zero.
    """
    tick, step = _steps(source, symbol)
    price = source.price(symbol, at_ms)
    ticks = price // tick
    half = max(1, ticks // (2 * SPREAD_PARTS))
    distance = half + np.arange(levels, dtype=np.int64) * max(1, ticks // SPREAD_PARTS)
    wanted = source.turnover(symbol) * LEVEL_SHARE / (price / 1e8) * 1e8 / step  # lots
    sides = []
    for side, prices in ((0, ticks - distance), (1, ticks + distance)):
        luck = 0.25 + 1.5 * _fractions(_key(symbol) + side, at_ms // 1000, levels)
        lots = np.maximum(1, (wanted * luck * (1 + np.arange(levels) / 10)).astype(np.int64))
        possible = prices > 0
        sides.append(np.stack([prices[possible] * tick, lots[possible] * step]))
    return sides[0], sides[1]


def to_decimal_book(bids: Integers, asks: Integers) -> Book:
    """Return a book of Decimals."""
    sides = [tuple((to_price(price), to_price(size)) for price, size in side.T.tolist()) for side in (bids, asks)]
    return Book(bids=sides[0], asks=sides[1])


def trade_in_second(source: Source, symbol: str, second: int) -> tuple[int, int, int, bool]:
    """Return the public trade of a second: time (ms), price, quantity (units of 1e-8), whether the buyer was maker."""
    _, step = _steps(source, symbol)
    when, size, side = _fractions(_key(symbol) + 2, second, 3).tolist()
    at_ms = second * 1000 + int(when * 1000)
    price = source.price(symbol, at_ms)
    lots = max(1, int(1000 * size / (price / 1e8) * 1e8 / step))
    return at_ms, price, lots * step, side < 0.5


@lru_cache(maxsize=1024)
def _key(symbol: str) -> int:
    return int.from_bytes(hashlib.blake2b(symbol.encode(), digest_size=6).digest(), "big")


def _steps(source: Source, symbol: str) -> tuple[int, int]:
    instrument = source.instruments[symbol]
    return to_units(instrument.tick_size), to_units(instrument.step_size)


def _fractions(key: int, moment: int, count: int) -> Floats:
    """Return numbers in [0, 1) that depend on key, moment and position only (SplitMix64)."""
    origin = (key * 0x9E3779B97F4A7C15 + moment * 0xD1B54A32D192ED03) % 2**64
    mixed = np.uint64(origin) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray((mixed >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
