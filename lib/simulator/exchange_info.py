"""What exchangeInfo says about each symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lib.simulator.limits import ORDERS_PER_10_SECONDS, ORDERS_PER_DAY
from lib.simulator.market import Instrument

HIGHEST_PRICE_TICKS = 100_000_000  # maxPrice as a multiple of the tick
MAX_NOTIONAL = Decimal(9_000_000)
AVERAGE_PRICE_MINUTES = 5
MAX_ALGO_ORDERS = 5
ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]


def to_symbol_info(instrument: Instrument, status: str, with_permission_sets: bool) -> dict[str, Any]:
    """Return a symbol as exchangeInfo lists it."""
    return {
        "symbol": instrument.symbol,
        "status": status,
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _to_filters(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]] if with_permission_sets else [],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def to_rate_limits(weight_per_minute: int) -> list[dict[str, Any]]:
    """Return the limits that `limits` enforces, as exchangeInfo lists them."""
    return [
        _to_rate_limit("REQUEST_WEIGHT", "MINUTE", 1, weight_per_minute),
        _to_rate_limit("ORDERS", "SECOND", 10, ORDERS_PER_10_SECONDS),
        _to_rate_limit("ORDERS", "DAY", 1, ORDERS_PER_DAY),
    ]


def _to_rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _to_filters(instrument: Instrument) -> list[dict[str, Any]]:
    up, down = f"{instrument.percent_price_up.normalize():f}", f"{instrument.percent_price_down.normalize():f}"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": _eight(instrument.tick_size),
            "maxPrice": _eight(instrument.tick_size * HIGHEST_PRICE_TICKS),
            "tickSize": _eight(instrument.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": _eight(instrument.min_quantity),
            "maxQty": _eight(instrument.max_quantity),
            "stepSize": _eight(instrument.step_size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": _eight(Decimal(0)),
            "maxQty": _eight(instrument.max_market_quantity),
            "stepSize": _eight(Decimal(0)),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": AVERAGE_PRICE_MINUTES,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": _eight(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": _eight(MAX_NOTIONAL),
            "applyMaxToMarket": False,
            "avgPriceMins": AVERAGE_PRICE_MINUTES,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": instrument.max_open_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": MAX_ALGO_ORDERS},
    ]


def _eight(value: Decimal) -> str:
    return f"{value:.8f}"
