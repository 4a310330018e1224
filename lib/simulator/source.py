"""Where prices and candles come from: the generated world or a recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lib.simulator.arrays import Integers
from lib.simulator.market import Instrument

Spans = tuple[tuple[int, int], ...]  # half-open, milliseconds


class Source(Protocol):
    """Prices and candles of every symbol at any instant, also of the future.

    Prices are units of 1e-8; candles are columns as in `candles`, shape `(10, n)`, rising in time.
    """

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Every symbol there is."""
        ...

    def listed_ms(self, symbol: str) -> int:
        """Return the first instant of trading."""
        ...

    def ended_ms(self, symbol: str) -> int:
        """Return the instant from which on there are no candles any more."""
        ...

    def turnover(self, symbol: str) -> float:
        """Return the usual turnover of a day, in quote."""
        ...

    def candles(self, symbol: str, interval: str, from_ms: int, to_ms: int) -> Integers:
        """Return the complete candles that open in [from_ms, to_ms), both on the interval's grid."""
        ...

    def part(self, symbol: str, interval: str, from_ms: int, at_ms: int) -> Integers:
        """Return what traded from `from_ms` (on the grid of minutes) to `at_ms` as one candle, or none."""
        ...

    def price(self, symbol: str, at_ms: int) -> int:
        """Return the last price at an instant."""
        ...

    def range(self, symbol: str, from_ms: int, to_ms: int) -> tuple[int, int]:
        """Return low and high of the prices from `from_ms` to `to_ms`; what jumped at `from_ms` counts as after it."""
        ...

    def hide(self, symbol: str, spans: Spans) -> None:
        """Let the candles that lie wholly inside the spans never have existed; replaces earlier spans."""
        ...
