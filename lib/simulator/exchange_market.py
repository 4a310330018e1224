"""The market as the exchange shows it: a source of prices, and what the control API did to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from lib.simulator.candles import to_price, to_units
from lib.simulator.clock import DrivenClock
from lib.simulator.intervals import MINUTE_MS
from lib.simulator.klines import Klines
from lib.simulator.market import Book, Clock, Instrument
from lib.simulator.order_book import make_book, to_decimal_book
from lib.simulator.segments import Segment, Segments
from lib.simulator.source import Source, Spans
from lib.simulator.state import ALL, MarketState, StateFile
from lib.simulator.world import World

FOREVER = 2**62
BOOK_LEVELS = 200
# What a scenario does without further parameters: change of the price, and how many minutes it takes.
SCENARIOS: Mapping[str, tuple[float, int]] = {
    "normal": (0.0, 0),
    "rally": (0.25, 240),
    "crash": (-0.40, 60),
    "flat": (0.0, 0),
    "halted": (0.0, 0),
}


class ExchangeMarket:
    """Implements `market.Market`; every change is kept before it is answered."""

    def __init__(self, source: Source, clock: Clock, kept: StateFile, state: MarketState) -> None:
        self.source = source
        self.clock = clock
        self._kept = kept
        self._state = state
        self.klines = Klines(source, dict(state.late_ms))
        self._instruments = {
            symbol: instrument for symbol, instrument in source.instruments.items() if symbol not in state.delisted
        }
        self._all_listed_ms = max(source.listed_ms(symbol) for symbol in source.instruments)
        for symbol, records in state.segments.items():
            if isinstance(source, World) and symbol in source.instruments:
                source.reshape(symbol, Segments([Segment(**record) for record in records]))
        for symbol in source.instruments:
            self._apply_gaps(symbol, since_ms=0)

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The symbols the exchange knows now; a delisted one is gone, one listed later is not there yet."""
        now = self.clock.now_ms()
        if now >= self._all_listed_ms:
            return self._instruments
        return {name: row for name, row in self._instruments.items() if now >= self.source.listed_ms(name)}

    def status(self, symbol: str) -> str:
        """Return "TRADING", "HALT" while it is stopped, or "BREAK" when it is delisted or not listed yet."""
        if symbol not in self._instruments or self.clock.now_ms() < self.source.listed_ms(symbol):
            return "BREAK"
        halts = self._state.halts.get(symbol, [])
        return "HALT" if halts and halts[-1][1] is None else "TRADING"

    def price(self, symbol: str, at_ms: int) -> Decimal:
        """Return the last price at an instant."""
        return to_price(self.source.price(symbol, at_ms))

    def book(self, symbol: str, at_ms: int) -> Book:
        """Return the order book at an instant."""
        return to_decimal_book(*make_book(self.source, symbol, at_ms, BOOK_LEVELS))

    def range(self, symbol: str, from_ms: int, to_ms: int) -> tuple[Decimal, Decimal]:
        """Return low and high of the price path over (from_ms, to_ms]; a jump made at `from_ms` counts as inside."""
        low, high = self.source.range(symbol, from_ms, max(from_ms, to_ms))
        return to_price(low), to_price(high)

    def is_absent(self, symbol: str, at_ms: int) -> bool:
        """Tell whether nothing traded at an instant: halted, missing or not listed."""
        if at_ms < self.source.listed_ms(symbol):
            return True
        return any(start <= at_ms < end for start, end in self._gaps(symbol))

    def drive(self, instant_ms: int) -> None:
        """Move exchange time.

        Raises:
            ValueError: When the clock is the machine's, or the instant lies in the past.
        """
        if not isinstance(self.clock, DrivenClock):
            raise ValueError("Expected a driven clock, was the machine's. Start the simulator with a start instant.")
        self.clock.move_to(instant_ms)
        self._state.clock_ms = instant_ms
        self._save()

    def set_price(self, symbol: str, price: Decimal) -> None:
        """Let the price jump now; it moves on from there, in the scenario that is in force without its drift.

        Raises:
            ValueError: When the price is not a positive multiple of the tick size, or a recording is replayed.
        """
        tick = self.source.instruments[symbol].tick_size
        if not price.is_finite() or price <= 0 or price % tick:
            raise ValueError(f"Expected a positive multiple of {tick} for {symbol}, was {price}.")
        world, now = self._world(), self.clock.now_ms()
        self._start_segment(world, symbol, to_units(price), flat=world.segments(symbol).at(now).flat)
        self._save()

    def set_scenario(
        self, symbols: Iterable[str], name: str, change: float | None = None, minutes: int | None = None
    ) -> None:
        """Start a scenario now for each symbol.

        Args:
            symbols: Which symbols.
            name: One of `SCENARIOS`.
            change: Of the price, as a fraction above -1 (-0.4 for minus 40 %); only for rally and crash.
            minutes: How long the change takes, at least 1; only for rally and crash.

        Raises:
            ValueError: When a value is not allowed, or a recording is replayed.
        """
        if name not in SCENARIOS:
            raise ValueError(f"Unknown scenario {name!r}. Expected one of {', '.join(SCENARIOS)}.")
        usual_change, usual_minutes = SCENARIOS[name]
        if not usual_minutes and (change is not None or minutes is not None):
            raise ValueError(f"Scenario {name!r} takes neither change nor minutes; rally and crash do.")
        change = usual_change if change is None else change
        minutes = usual_minutes if minutes is None else minutes
        if change <= -1 or (usual_minutes and minutes < 1):
            raise ValueError(f"Expected a change above -1 over at least 1 minute, was {change} over {minutes}.")
        for symbol in symbols:
            if name == "halted":
                self._halt(symbol)
            else:
                self._start_scenario(symbol, name == "flat", change, minutes)
        self._save()

    def halt(self, symbol: str) -> None:
        """Stop trading of a symbol now: its price stands still and it has no candles until it resumes."""
        self._halt(symbol)
        self._save()

    def resume(self, symbol: str) -> None:
        """Let a halted symbol trade on, from the price at which it stopped."""
        self._end_halt(symbol)
        self._save()

    def delist(self, symbol: str) -> None:
        """Let the exchange no longer know a symbol."""
        self._instruments.pop(symbol)
        self._state.delisted.append(symbol)
        self._save()

    def relist(self, symbol: str) -> None:
        """Let the exchange know a delisted symbol again."""
        self._instruments[symbol] = self.source.instruments[symbol]
        self._state.delisted = [name for name in self._state.delisted if name != symbol]
        self._save()

    def add_missing(self, symbol: str, from_ms: int, to_ms: int) -> None:
        """Let the exchange never have had the candles that lie wholly in [from_ms, to_ms) (`ALL` for every symbol).

        Raises:
            ValueError: When the window is shorter than a minute.
        """
        if to_ms - from_ms < MINUTE_MS:
            raise ValueError(f"Expected a window of at least a minute, was {from_ms} to {to_ms}.")
        self._state.missing.setdefault(symbol, []).append((from_ms, to_ms))
        self._gaps_changed(symbol)

    def clear_missing(self, symbol: str) -> None:
        """Give the candles of `add_missing` back."""
        self._state.missing.pop(symbol, None)
        self._gaps_changed(symbol)

    def set_late(self, symbols: Iterable[str], late_ms: int) -> None:
        """Let candles appear only `late_ms` after their close; 0 for at once."""
        for symbol in symbols:
            self._state.late_ms.pop(symbol, None)
            if late_ms:
                self._state.late_ms[symbol] = late_ms
        self.klines.late_ms = dict(self._state.late_ms)
        self._save()

    def _world(self) -> World:
        if not isinstance(self.source, World):
            raise ValueError("Recorded prices cannot be changed. Start the simulator without a replay folder.")
        return self.source

    def _start_scenario(self, symbol: str, flat: bool, change: float, minutes: int) -> None:
        world = self._world()
        self._end_halt(symbol)
        self._start_segment(world, symbol, world.price(symbol, self.clock.now_ms()), flat, change, minutes)

    def _start_segment(
        self, world: World, symbol: str, price: int, flat: bool = False, change: float = 0.0, minutes: int = 0
    ) -> None:
        now = self.clock.now_ms()
        base = world.undisturbed(symbol, now)
        segments = world.segments(symbol)
        segments.add(Segment(now, price, base, flat, change, minutes * MINUTE_MS))
        self._state.segments[symbol] = segments.to_records()
        world.reshape(symbol, segments, now)
        self.klines.forget(symbol, now)

    def _halt(self, symbol: str) -> None:
        halts = self._state.halts.setdefault(symbol, [])
        if halts and halts[-1][1] is None:
            return
        if isinstance(self.source, World):
            self._start_segment(self.source, symbol, self.source.price(symbol, self.clock.now_ms()), flat=True)
        halts.append((self.clock.now_ms(), None))
        self._apply_gaps(symbol, self.clock.now_ms())

    def _end_halt(self, symbol: str) -> None:
        halts = self._state.halts.get(symbol, [])
        if not halts or halts[-1][1] is not None:
            return
        now = self.clock.now_ms()
        halts[-1] = (halts[-1][0], now)
        if isinstance(self.source, World):
            self._start_segment(self.source, symbol, self.source.price(symbol, now))
        self._apply_gaps(symbol, halts[-1][0])

    def _gaps(self, symbol: str) -> Spans:
        halts = ((start, FOREVER if end is None else end) for start, end in self._state.halts.get(symbol, []))
        missing = (*self._state.missing.get(ALL, []), *self._state.missing.get(symbol, []))
        return (*halts, *((start, end) for start, end in missing))

    def _apply_gaps(self, symbol: str, since_ms: int) -> None:
        self.source.hide(symbol, self._gaps(symbol))
        self.klines.forget(symbol, since_ms)

    def _gaps_changed(self, symbol: str) -> None:
        for name in self.source.instruments if symbol == ALL else (symbol,):
            self._apply_gaps(name, since_ms=0)
        self._save()

    def _save(self) -> None:
        self._kept.save(self._state)
