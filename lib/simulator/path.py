"""The undisturbed price path of a symbol: a deterministic function of (seed, symbol, time) with random access.

Days are tied to anchors (a mean-reverting walk from the world's first day), minutes run between two anchors as a
Brownian bridge. Inside a minute the price runs in straight lines from open over its two extremes to close, so that
any part of a candle is exact. Streams are those of the installed numpy; another major version may draw another world.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from datetime import UTC, datetime

import numpy as np

from lib.simulator.arrays import Floats
from lib.simulator.instruments import Profile
from lib.simulator.intervals import DAY_MS

FIRST_DAY = int(datetime(2017, 8, 1, tzinfo=UTC).timestamp()) * 1000 // DAY_MS
LAST_DAY = int(datetime(2050, 1, 1, tzinfo=UTC).timestamp()) * 1000 // DAY_MS
MINUTES = 1440
CORRELATION = 0.6  # share of each return's variance that all symbols have in common
REVERSION = 1 / 400  # of the distance to the level, a day: prices stay within about a factor of three of it
_MARKET = "all symbols"

OPEN_ROW, HIGH_ROW, LOW_ROW, CLOSE_ROW, VOLUME_ROW, TAKER_ROW = range(6)


class Path:
    """Paths of all symbols of one seed."""

    def __init__(self, seed: int, cached_days: int) -> None:
        self._seed = seed
        self._cached_days = cached_days
        self._anchors: dict[str, Floats] = {}
        self._days: OrderedDict[tuple[str, int], Floats] = OrderedDict()
        self._market: OrderedDict[int, Floats] = OrderedDict()

    def day(self, profile: Profile, day: int) -> Floats:
        """Return a day's minutes, shape `(6, 1440)`: open, high, low, close (quote), volume (base), taker buy share.

        Raises:
            ValueError: Outside the world's days.
        """
        key = (profile.instrument.symbol, day)
        minutes = self._days.get(key)
        if minutes is not None:
            self._days.move_to_end(key)
            return minutes
        if not FIRST_DAY <= day < LAST_DAY:
            raise ValueError(f"Expected a day from 2017-08-01 to 2049-12-31, was day {day} of the Unix epoch.")
        minutes = self._days[key] = self._draw_day(profile, day)
        while len(self._days) > self._cached_days:
            self._days.popitem(last=False)
        return minutes

    def _draw_day(self, profile: Profile, day: int) -> Floats:
        anchors = self._anchors_of(profile)
        start, end = anchors[day - FIRST_DAY], anchors[day - FIRST_DAY + 1]
        stream = self._stream(profile.instrument.symbol, day)
        own, turnover = stream.standard_normal((2, MINUTES))
        above, below, taker = stream.random((3, MINUTES))
        shocks = math.sqrt(CORRELATION) * self._market_day(day) + math.sqrt(1 - CORRELATION) * own
        sigma = profile.volatility / math.sqrt(365 * MINUTES)
        walk = np.cumsum(shocks) * sigma
        share = np.arange(1, MINUTES + 1) / MINUTES
        closes = profile.level * np.exp(start + walk + share * (end - start - walk[-1]))
        minutes = np.empty((6, MINUTES))
        minutes[OPEN_ROW, 0] = profile.level * np.exp(start)
        minutes[OPEN_ROW, 1:] = closes[:-1]
        minutes[CLOSE_ROW] = closes
        minutes[CLOSE_ROW, -1] = profile.level * np.exp(end)  # to the last bit the next day's open
        higher = np.maximum(minutes[OPEN_ROW], minutes[CLOSE_ROW])
        lower = np.minimum(minutes[OPEN_ROW], minutes[CLOSE_ROW])
        minutes[HIGH_ROW] = higher * (1 + above * sigma)
        minutes[LOW_ROW] = lower * (1 - below * sigma)
        # Turnover is skewed (log-normal) and rises with the size of the move; its mean is the profile's turnover.
        usual = profile.daily_volume / profile.level / MINUTES
        minutes[VOLUME_ROW] = usual * np.exp(0.7 * turnover - 0.245) * (0.6 + 0.5 * np.abs(shocks))
        minutes[TAKER_ROW] = 0.3 + 0.4 * taker
        return minutes

    def _anchors_of(self, profile: Profile) -> Floats:
        """Return the log distance from the level at the start of each day, shape `(days + 1,)`."""
        symbol = profile.instrument.symbol
        if symbol not in self._anchors:
            days = LAST_DAY - FIRST_DAY
            common = self._stream(_MARKET, 0).standard_normal(days)
            own = self._stream(symbol, 0).standard_normal(days)
            shocks = math.sqrt(CORRELATION) * common + math.sqrt(1 - CORRELATION) * own
            decay = (1 - REVERSION) ** np.arange(1, days + 1)
            walk = np.cumsum(shocks / decay) * decay * profile.volatility / math.sqrt(365)
            self._anchors[symbol] = np.concatenate([[0.0], walk])
        return self._anchors[symbol]

    def _market_day(self, day: int) -> Floats:
        if day not in self._market:
            self._market[day] = self._stream(_MARKET, day).standard_normal(MINUTES)
            if len(self._market) > 800:  # two years: a backfill walks symbol by symbol
                self._market.popitem(last=False)
        return self._market[day]

    def _stream(self, name: str, day: int) -> np.random.Generator:
        key = hashlib.blake2b(f"{self._seed} {name}".encode(), digest_size=16).digest()
        counter = np.array([0, 0, day, 0], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype=np.uint64), counter=counter))
