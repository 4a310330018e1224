"""The trading rules of a symbol: how exchangeInfo publishes them and how an order is measured by them.

Source: Binance Spot "Filters". The average price of PERCENT_PRICE_BY_SIDE and of market orders' NOTIONAL is the last
price, which the rules allow and publish as `avgPriceMins` 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lib.simulator.api_errors import filter_failure
from lib.simulator.market import Instrument

MAX_PRICE_TICKS = 100_000_000
MAX_NOTIONAL = Decimal(9_000_000)
MAX_TRIGGER_ORDERS = 5  # of one account on one symbol, as Binance sets it nearly everywhere


def filters_as_json(instrument: Instrument) -> list[dict[str, Any]]:
    """Return the filters of one symbol as exchangeInfo has them."""
    up, down = f"{instrument.percent_price_up.normalize():f}", f"{instrument.percent_price_down.normalize():f}"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": to_text(instrument.tick_size),
            "maxPrice": to_text(instrument.tick_size * MAX_PRICE_TICKS),
            "tickSize": to_text(instrument.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": to_text(instrument.min_quantity),
            "maxQty": to_text(instrument.max_quantity),
            "stepSize": to_text(instrument.step_size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": to_text(Decimal(0)),
            "maxQty": to_text(instrument.max_market_quantity),
            "stepSize": to_text(Decimal(0)),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": 0,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": to_text(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": to_text(MAX_NOTIONAL),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": instrument.max_open_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": MAX_TRIGGER_ORDERS},
    ]


def to_text(value: Decimal) -> str:
    """Write an amount or price with eight decimals, as Binance does."""
    return f"{value:.8f}"


def check_price(instrument: Instrument, price: Decimal) -> None:
    """Measure a limit or stop price by PRICE_FILTER.

    Raises:
        ApiError: -1013.
    """
    ticks, rest = divmod(price, instrument.tick_size)
    if rest or not 1 <= ticks <= MAX_PRICE_TICKS:
        raise filter_failure("PRICE_FILTER")


def check_distance(instrument: Instrument, price: Decimal, last_price: Decimal) -> None:
    """Measure a limit price by its distance from the last price (PERCENT_PRICE_BY_SIDE).

    Raises:
        ApiError: -1013.
    """
    lowest, highest = last_price * instrument.percent_price_down, last_price * instrument.percent_price_up
    if not lowest <= price <= highest:
        raise filter_failure("PERCENT_PRICE_BY_SIDE")


def check_quantity(instrument: Instrument, quantity: Decimal, *, at_market: bool) -> None:
    """Measure a quantity by LOT_SIZE, and that of an order without limit price by MARKET_LOT_SIZE too.

    Raises:
        ApiError: -1013.
    """
    within = instrument.min_quantity <= quantity <= instrument.max_quantity
    if quantity <= 0 or not within or quantity % instrument.step_size:
        raise filter_failure("LOT_SIZE")
    if at_market and quantity > instrument.max_market_quantity:
        raise filter_failure("MARKET_LOT_SIZE")


def check_notional(instrument: Instrument, notional: Decimal, *, at_market: bool) -> None:
    """Measure price x quantity by NOTIONAL; the upper bound does not hold for market orders.

    Raises:
        ApiError: -1013.
    """
    if notional < instrument.min_notional or (notional > MAX_NOTIONAL and not at_market):
        raise filter_failure("NOTIONAL")


def check_open_orders(instrument: Instrument, open_orders: int, trigger_orders: int) -> None:
    """Measure how many orders, and how many with a trigger, would then be open on the symbol.

    Raises:
        ApiError: -1013.
    """
    if open_orders > instrument.max_open_orders:
        raise filter_failure("MAX_NUM_ORDERS")
    if trigger_orders > MAX_TRIGGER_ORDERS:
        raise filter_failure("MAX_NUM_ALGO_ORDERS")
