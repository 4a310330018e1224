"""Control of the market: time, scenarios, prices, halts, gaps in the candles, faults, statistics."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web
from pydantic import AwareDatetime, Field

from lib.simulator.answers import to_answer
from lib.simulator.candles import format_units
from lib.simulator.clock import DrivenClock
from lib.simulator.control import LISTING, ROOT, Form, NoFields, add_control
from lib.simulator.exchange_market import SCENARIOS, ExchangeMarket
from lib.simulator.faults import KINDS, Fault, Faults
from lib.simulator.limits import Limits
from lib.simulator.state import ALL
from lib.simulator.statistics import Statistics


class Instant(Form):
    """An instant: ISO 8601 with a time zone, or Unix seconds or milliseconds."""

    at: AwareDatetime


class Step(Form):
    """A step in time."""

    seconds: float = Field(gt=0)


class ForSymbol(Form):
    """One symbol, such as BTCUSDT."""

    symbol: str


class ForSymbols(Form):
    """One symbol, or all."""

    symbol: str = ALL


class Scenario(ForSymbols):
    """A scenario from now on; change (a fraction) and minutes only for rally and crash."""

    scenario: str
    change: float | None = None
    minutes: int | None = None


class Price(ForSymbol):
    """A price from now on, a multiple of the tick size."""

    price: Decimal


class Window(ForSymbols):
    """A window in time, the end excluded."""

    start: AwareDatetime
    end: AwareDatetime


class Late(ForSymbols):
    """How long after its close a candle appears; 0 for at once."""

    seconds: float = Field(ge=0)


class Arm(Form):
    """A fault, see `faults.Fault`."""

    kind: str
    path: str = "/api/*"
    method: str = "*"
    symbol: str | None = None
    count: int = 1
    skip: int = 0
    params: dict[str, Any] = Field(default_factory=dict)


def add_routes(
    app: web.Application, market: ExchangeMarket, faults: Faults, budget: Limits, statistics: Statistics
) -> None:
    """Register the control of the market half, and the list of all control routes."""
    control = _MarketControl(market)
    add_control(app, "GET", "/control/clock", NoFields, control.read_clock)
    add_control(app, "POST", "/control/clock/set", Instant, control.set_clock)
    add_control(app, "POST", "/control/clock/advance", Step, control.advance_clock)
    add_control(app, "POST", "/control/scenario", Scenario, control.start_scenario)
    add_control(app, "POST", "/control/price", Price, control.set_price)
    add_control(app, "POST", "/control/halt", ForSymbol, control.halt)
    add_control(app, "POST", "/control/resume", ForSymbol, control.resume)
    add_control(app, "POST", "/control/delist", ForSymbol, control.delist)
    add_control(app, "POST", "/control/relist", ForSymbol, control.relist)
    add_control(app, "POST", "/control/missing", Window, control.add_missing)
    add_control(app, "DELETE", "/control/missing", ForSymbols, control.clear_missing)
    add_control(app, "POST", "/control/late", Late, control.set_late)
    _add_faults(app, faults)
    _add_usage(app, budget, statistics)

    async def list_controls(_: web.Request) -> web.Response:
        return to_answer({"routes": app[LISTING], "scenarios": list(SCENARIOS), "faults": KINDS})

    app.router.add_get(ROOT, list_controls)


def _add_faults(app: web.Application, faults: Faults) -> None:
    def arm(form: Arm) -> dict[str, Any]:
        """Arm a fault."""
        return {"number": faults.arm(Fault(**form.model_dump()))}

    def read(_: NoFields) -> dict[str, Any]:
        """List the armed faults."""
        return {"faults": faults.listing()}

    def clear(_: NoFields) -> dict[str, Any]:
        """Disarm all faults."""
        return {"cleared": faults.clear()}

    add_control(app, "POST", "/control/faults", Arm, arm)
    add_control(app, "GET", "/control/faults", NoFields, read)
    add_control(app, "DELETE", "/control/faults", NoFields, clear)


def _add_usage(app: web.Application, budget: Limits, statistics: Statistics) -> None:
    def read(_: NoFields) -> dict[str, Any]:
        """Tell how many requests were served, the most in flight at once, and the weight charged."""
        return statistics.to_record() | {"weight": budget.weight_total}

    def reset(_: NoFields) -> dict[str, Any]:
        """Forget request weights, order counts, bans and statistics."""
        budget.reset()
        statistics.reset()
        return {}

    add_control(app, "GET", "/control/stats", NoFields, read)
    add_control(app, "POST", "/control/usage/reset", NoFields, reset)


class _MarketControl:
    """The actions on the market."""

    def __init__(self, market: ExchangeMarket) -> None:
        self._market = market

    def read_clock(self, _: NoFields) -> dict[str, Any]:
        """Tell exchange time and whether it is driven."""
        now_ms = self._market.clock.now_ms()
        at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return {"now_ms": now_ms, "at": at, "driven": isinstance(self._market.clock, DrivenClock)}

    def set_clock(self, form: Instant) -> dict[str, Any]:
        """Set the driven clock, forward only."""
        self._market.drive(_to_ms(form.at))
        return self.read_clock(NoFields())

    def advance_clock(self, form: Step) -> dict[str, Any]:
        """Advance the driven clock."""
        self._market.drive(self._market.clock.now_ms() + round(form.seconds * 1000))
        return self.read_clock(NoFields())

    def start_scenario(self, form: Scenario) -> dict[str, Any]:
        """Start a scenario for a symbol, or for all."""
        symbols = self._symbols(form.symbol)
        self._market.set_scenario(symbols, form.scenario, form.change, form.minutes)
        return {"symbols": symbols, "scenario": form.scenario}

    def set_price(self, form: Price) -> dict[str, Any]:
        """Let the price of a symbol jump; it moves on from there."""
        self._market.set_price(self._symbol(form.symbol), form.price)
        now_price = self._market.source.price(form.symbol, self._market.clock.now_ms())
        return {"symbol": form.symbol, "price": format_units(now_price)}

    def halt(self, form: ForSymbol) -> dict[str, Any]:
        """Stop trading of a symbol."""
        self._market.halt(self._symbol(form.symbol))
        return self._status(form.symbol)

    def resume(self, form: ForSymbol) -> dict[str, Any]:
        """Let a halted symbol trade on."""
        self._market.resume(self._symbol(form.symbol))
        return self._status(form.symbol)

    def delist(self, form: ForSymbol) -> dict[str, Any]:
        """Let the exchange forget a symbol."""
        self._market.delist(self._symbol(form.symbol))
        return self._status(form.symbol)

    def relist(self, form: ForSymbol) -> dict[str, Any]:
        """Bring a delisted symbol back."""
        if form.symbol not in self._market.source.instruments:
            raise LookupError(f"There never was a symbol {form.symbol!r}.")
        self._market.relist(form.symbol)
        return self._status(form.symbol)

    def add_missing(self, form: Window) -> dict[str, Any]:
        """Let the exchange never have had the candles of a window."""
        self._symbols(form.symbol)
        self._market.add_missing(form.symbol, _to_ms(form.start), _to_ms(form.end))
        return {}

    def clear_missing(self, form: ForSymbols) -> dict[str, Any]:
        """Give the missing candles of a symbol back, or those missing for all."""
        self._market.clear_missing(form.symbol)
        return {}

    def set_late(self, form: Late) -> dict[str, Any]:
        """Let closed candles appear late; a late symbol shows no running candle."""
        self._market.set_late(self._symbols(form.symbol), round(form.seconds * 1000))
        return {}

    def _symbol(self, symbol: str) -> str:
        if symbol not in self._market.instruments:
            raise LookupError(f"Unknown symbol {symbol!r}. Symbols are written as in BTCUSDT.")
        return symbol

    def _symbols(self, symbol: str) -> list[str]:
        return list(self._market.instruments) if symbol == ALL else [self._symbol(symbol)]

    def _status(self, symbol: str) -> dict[str, Any]:
        return {"symbol": symbol, "status": self._market.status(symbol)}


def _to_ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
