"""What goes wrong, by seed: requests that fail, candles that are missing or late, outages, prices that move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.soak.log import Log
from tests.soak.stage import ALTS, MAINS, TIMEOUT_SECONDS, Stage

SYMBOLS = tuple(f"{asset}USDT" for asset in (*MAINS, *ALTS))
ORDER, TRADES, ACCOUNT = "/api/v3/order", "/api/v3/myTrades", "/api/v3/account"
PATHS = ("/api/*", "/api/v3/klines", "/api/v3/ticker/price", "/api/v3/depth", ACCOUNT, TRADES, ORDER, "/sapi/*")
QUICK: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status", {"status": 429, "retry_after": 1}),
    ("drop_before", {}),
    ("drop_after", {}),
    ("timestamp", {}),
    ("unknown_before", {}),
    ("unknown_after", {}),
    ("body", {"variant": "empty"}),
    ("body", {"variant": "truncated"}),
    ("body", {"variant": "html"}),
    ("body", {"variant": "text"}),
    ("types", {"variant": "numbers_as_text"}),
    ("types", {"variant": "nan"}),
    ("types", {"variant": "bare_nan"}),
    ("candles", {"variant": "out_of_order"}),
    ("candles", {"variant": "duplicated"}),
    ("candles", {"variant": "misaligned"}),
    ("candles", {"variant": "future"}),
)
SLOW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("timeout_before", {"seconds": TIMEOUT_SECONDS + 0.5}),
    ("timeout_after", {"seconds": TIMEOUT_SECONDS + 0.5}),
    ("delay", {"seconds": 0.7}),
)
PARTIAL: dict[str, Any] = {"fraction": "0.4", "rest": "expired"}


@dataclass(frozen=True)
class Spell:
    """Something that lasts.

    Attributes:
        what: In words, for the summary.
        until: When it ends.
        end: Ends it.
        holds: Done again before each round; armed faults go with each round.
    """

    what: str
    until: datetime
    end: Callable[[], None]
    holds: Callable[[], None] = lambda: None


@dataclass
class Weather:
    """Decides before each round what goes wrong in it.

    Attributes:
        stage: What suffers.
        log: What is noted.
        choices: Seeded.
        step: Between two rounds.
    """

    stage: Stage
    log: Log
    choices: Random
    step: timedelta
    spells: dict[str, Spell] = field(default_factory=dict)

    def change(self) -> None:
        """End what has lasted long enough, and let something new begin."""
        now = self.stage.clock.exchange_now()
        self.stage.control.clear_faults()
        for name, spell in [*self.spells.items()]:
            if spell.until <= now:
                spell.end()
                del self.spells[name]
            else:
                spell.holds()
        self._arm_requests()
        for name, per_day, begin in self._list_spells():
            if name not in self.spells and self.choices.random() < per_day * (self.step / A_DAY):
                self.spells[name] = begin(now)
                self.spells[name].holds()
                self.log.events[self.spells[name].what] += 1

    def clear_up(self) -> None:
        """End everything."""
        self.stage.control.clear_faults()
        for spell in self.spells.values():
            spell.end()
        self.spells.clear()

    def _arm_requests(self) -> None:
        if self.choices.random() < 0.15:
            kind, params = self.choices.choice(QUICK)
            self._arm(kind, self.choices.choice(PATHS), self.choices.choice((1, 1, 1, 2, 4)), **params)
        if self.choices.random() < 0.004:
            kind, params = self.choices.choice(SLOW)
            self._arm(kind, self.choices.choice(PATHS), 1, **params)
        if self.choices.random() < 0.10:  # for the next order, whose turn may be long in coming
            kind, params = self.choices.choice((*QUICK[:9], ("partial_fill", PARTIAL), ("reject", {})))
            self._arm(kind, ORDER, 1, **params)

    def _arm(self, kind: str, path: str, count: int, **params: Any) -> None:
        self.stage.control.arm(kind, path, count=count, skip=self.choices.choice((0, 0, 1, 3)), **params)
        self.log.events[f"faults armed: {kind}"] += 1

    def _list_spells(self) -> tuple[tuple[str, float, Callable[[datetime], Spell]], ...]:
        """Return name, how many a day, and how each begins."""
        return (
            ("price", 6.0, self._move_price),
            ("outage", 0.2, self._break_exchange),
            ("channel", 0.4, self._break_channel),
            ("feed", 0.05, self._break_feed),
            ("late", 2.0, self._delay_candles),
            ("missing", 2.0, self._hide_candles),
            ("halted", 0.5, self._halt_symbol),
            ("skew", 0.3, self._set_clock_ahead),
        )

    def _move_price(self, now: datetime) -> Spell:
        symbol, change = self.choices.choice(SYMBOLS), self.choices.choice((-0.09, -0.06, 0.06, 0.1))
        name, minutes = "crash" if change < 0 else "rally", self.choices.choice((10, 40))
        self.stage.control.scenario(name, symbol, change=change, minutes=minutes)
        return Spell(name, now + timedelta(hours=1), _nothing)

    def _break_exchange(self, now: datetime) -> Spell:
        def hold() -> None:
            self.stage.control.arm("status", "/*", count=0, status=503)

        return Spell("exchange outages", now + timedelta(minutes=self.choices.choice((8, 14))), _nothing, hold)

    def _break_channel(self, now: datetime) -> Spell:
        def set_down(down: bool) -> None:
            self.stage.webhooks.down = down

        set_down(True)
        return Spell("channel outages", now + timedelta(minutes=self.choices.choice((20, 90))), lambda: set_down(False))

    def _break_feed(self, now: datetime) -> Spell:
        def hold() -> None:
            self.stage.control.arm("status", "/feed/*", count=0, status=500)

        self.log.expect("the feed has failed for a day", "operations:feed:", now + timedelta(hours=27), before=A_DAY)
        return Spell("feed outages", now + timedelta(hours=30), _nothing, hold)

    def _delay_candles(self, now: datetime) -> Spell:
        symbol, control = self.choices.choice(SYMBOLS), self.stage.control
        control.set_late(self.choices.choice((30, 400)), symbol)
        return Spell("late candles", now + timedelta(minutes=50), lambda: control.set_late(0, symbol))

    def _hide_candles(self, now: datetime) -> Spell:
        """Candles that the exchange has never had; or that it shows later, while they are still waited for.

        All of a symbol are given back at once, so a symbol has the one kind or the other.
        """
        symbol, control = self.choices.choice(SYMBOLS), self.stage.control
        start = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        control.add_missing(start, start + timedelta(minutes=self.choices.choice((5, 15, 60))), symbol)
        if symbol.removesuffix("USDT") in ALTS:
            return Spell("missing candles for good", start + timedelta(hours=4), _nothing)
        until = start + timedelta(minutes=90)
        return Spell("missing candles for a while", until, lambda: control.clear_missing(symbol))

    def _halt_symbol(self, now: datetime) -> Spell:
        symbol, control = self.choices.choice(SYMBOLS), self.stage.control
        control.halt(symbol)
        until = now + timedelta(minutes=self.choices.choice((20, 130)))
        return Spell("halted symbols", until, lambda: control.resume(symbol))

    def _set_clock_ahead(self, now: datetime) -> Spell:
        def set_skew(seconds: float) -> None:
            self.stage.clock.skew = timedelta(seconds=seconds)

        set_skew(1.5)
        return Spell("clock ahead", now + timedelta(minutes=12), lambda: set_skew(0))


A_DAY = timedelta(days=1)


def _nothing() -> None:
    """Ends by itself."""
