"""The symbols of the generated world: ten of Binance's, then invented ones."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from lib.simulator.market import Instrument

MOST_SYMBOLS = 500
INVENTED_LISTED_AT = datetime(2021, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Profile:
    """How a symbol of the generated world behaves.

    Attributes:
        instrument: The market and its filters.
        listed_ms: First instant of trading.
        level: Price its path keeps returning to, in quote.
        daily_volume: Usual turnover of a day, in quote.
        volatility: Standard deviation of a year's log returns.
    """

    instrument: Instrument
    listed_ms: int
    level: float
    daily_volume: float
    volatility: float


# Base, listed (Binance's first USDT kline), level, turnover, volatility, tick, step, most a limit and a market order.
_KNOWN = (
    ("BTC", "2017-08-17", 95_000, 1.2e9, 0.60, "0.01", "0.00001", "9000", "120"),
    ("ETH", "2017-08-17", 3_300, 8.0e8, 0.68, "0.01", "0.0001", "9000", "2500"),
    ("BNB", "2017-11-06", 700, 1.5e8, 0.62, "0.01", "0.001", "9000", "2000"),
    ("ADA", "2018-04-17", 0.65, 6.0e7, 0.75, "0.0001", "0.1", "900000", "600000"),
    ("SOL", "2020-08-11", 170, 4.0e8, 0.80, "0.01", "0.001", "90000", "15000"),
    ("DOT", "2020-08-18", 5.5, 2.5e7, 0.76, "0.001", "0.01", "90000", "40000"),
    ("POL", "2024-09-13", 0.38, 1.5e7, 0.78, "0.0001", "0.1", "900000", "250000"),
    ("AVAX", "2020-09-22", 28, 4.0e7, 0.79, "0.01", "0.01", "90000", "20000"),
    ("LINK", "2019-01-16", 15, 4.5e7, 0.74, "0.01", "0.01", "90000", "35000"),
    ("ATOM", "2019-04-29", 5.2, 1.2e7, 0.72, "0.001", "0.01", "90000", "25000"),
)


def make_profiles(count: int) -> dict[str, Profile]:
    """Return the first `count` symbols of the world by name; a symbol is the same in every size of world.

    Raises:
        ValueError: Outside 1 to `MOST_SYMBOLS`.
    """
    if not 1 <= count <= MOST_SYMBOLS:
        raise ValueError(f"Expected 1 to {MOST_SYMBOLS} symbols, was {count}.")
    known = [_known_profile(*row) for row in _KNOWN[:count]]
    invented = [_invented_profile(number) for number in range(len(_KNOWN) + 1, count + 1)]
    return {profile.instrument.symbol: profile for profile in (*known, *invented)}


def make_instrument(base: str, quote: str, tick: str, step: str, limit_most: str, market_most: str) -> Instrument:
    """Return an instrument with the filters that are the same for all USDT markets of Binance."""
    return Instrument(
        symbol=base + quote,
        base=base,
        quote=quote,
        tick_size=Decimal(tick),
        step_size=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(limit_most),
        min_notional=Decimal(5),
        max_market_quantity=Decimal(market_most),
        percent_price_up=Decimal(5),
        percent_price_down=Decimal("0.2"),
        max_open_orders=200,
    )


def make_instrument_at(base: str, quote: str, price: float) -> Instrument:
    """Return an instrument with the steps Binance usually gives at a price level (about five figures a price)."""
    digits = math.floor(math.log10(price))
    tick_decimals = min(8, max(2, 4 - digits))
    step_decimals = min(5, max(0, digits + 1))
    step, tick = Decimal(1).scaleb(-step_decimals), Decimal(1).scaleb(-tick_decimals)
    limit_most = str(9 * 10 ** (6 - step_decimals))
    market_most = str(9 * 10 ** max(1, 5 - step_decimals))
    return make_instrument(base, quote, str(tick), str(step), limit_most, market_most)


def _known_profile(
    base: str,
    listed: str,
    level: float,
    volume: float,
    volatility: float,
    tick: str,
    step: str,
    limit_most: str,
    market_most: str,
) -> Profile:
    instrument = make_instrument(base, "USDT", tick, step, limit_most, market_most)
    listed_at = datetime.fromisoformat(listed).replace(tzinfo=UTC)
    return Profile(instrument, int(listed_at.timestamp()) * 1000, level, volume, volatility)


def _invented_profile(number: int) -> Profile:
    digest = hashlib.blake2b(f"profile {number}".encode(), digest_size=3).digest()
    first, second, third = (byte / 255 for byte in digest)
    level = round(10 ** (first * 4 - 1.5), 4)  # 0.03 to 300
    instrument = make_instrument_at(f"S{number:03d}", "USDT", level)
    listed_ms = int(INVENTED_LISTED_AT.timestamp()) * 1000
    return Profile(instrument, listed_ms, level, 10 ** (5.5 + 2 * second), 0.6 + 0.2 * third)
