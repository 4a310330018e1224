"""What exchangeInfo says about each symbol."""

from __future__ import annotations

from typing import Any

from lib.simulator.filters import filters_as_json
from lib.simulator.limits import ORDERS_PER_10_SECONDS, ORDERS_PER_DAY
from lib.simulator.market import Instrument

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
        "filters": filters_as_json(instrument),
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
