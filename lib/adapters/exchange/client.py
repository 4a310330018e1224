"""The ccxt client of a venue: its class, its URLs, its options.

ccxt gives signing, one endpoint map and one error table per exchange. Markets are **not** loaded for Binance-like
venues: `load_markets` costs weight 20 and a parse of more than 10 MB in every 5-minute process, only to map
"BTC/USDT" to "BTCUSDT". Their calls use ccxt's implicit endpoints (`publicGetKlines`), which need no markets, return
the exchange's exact text instead of floats, and are checked by `answers`.
"""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import ccxt.async_support as ccxt

from lib.adapters.exchange.replies import record_reply, to_watched
from lib.errors import SettingsError

SIMULATOR = "simulator"
_SPOT_ONLY = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}


@dataclass(frozen=True)
class Venue:
    """Where to trade, and how hard it may be asked.

    Attributes:
        name: "simulator", "binance", or any spot exchange id of ccxt.
        url: Base URL of a Binance-like server ("http://127.0.0.1:4280"); None for the exchange's own.
        sandbox: Use the exchange's test network.
        timeout_seconds: Of one request.
        concurrency: Requests for candles or fills in flight in this process; the few others wait for no slot.
        weight_per_minute: Request weight of this address, shared by all processes (Binance-like venues).
        max_wait_seconds: A longer wait for weight, or for the end of a pause, raises `RateLimited` instead.
    """

    name: str
    url: str | None = None
    sandbox: bool = False
    timeout_seconds: float = 10
    concurrency: int = 20
    weight_per_minute: int = 6000
    max_wait_seconds: float = 30


def make_client(venue: Venue, key: str = "", secret: str = "") -> Any:
    """Return the ccxt client of a venue; nothing is connected yet.

    Raises:
        SettingsError: The name is unknown or no spot exchange, or the URL or the test network does not fit it.
    """
    cls = _find_class(venue.name)
    like_binance = issubclass(cls, ccxt.binance)
    config: dict[str, Any] = {
        "timeout": int(venue.timeout_seconds * 1000),
        "enableRateLimit": not like_binance,  # there the shared budget rules
        "enableLastHttpResponse": False,
        "timeout_on_exit": 0,  # aiohttp's sessions close without the pause ccxt makes for websockets
        "on_rest_response": record_reply,
        "logger": _quiet_logger(),
        "apiKey": key,
        "secret": secret,
    }
    if like_binance:
        config |= {"options": dict(_SPOT_ONLY), "urls": _urls(venue)}
    elif venue.url:
        raise SettingsError(
            f"exchange_url is for Binance-like servers (simulator, binance), not for {venue.name}. Remove it."
        )
    else:
        config["number"] = str  # the exchange's digits, not their floats
    client = cls(config)
    client.on_json_response = to_watched(client.on_json_response)
    if not client.has.get("spot"):
        raise SettingsError(f"{venue.name} is not a spot exchange. Set FKS_EXCHANGE to one, such as binance.")
    if venue.sandbox:
        _use_test_network(client, venue.name)
    if like_binance:
        _use_production_errors(client)
    return client


def is_like_binance(client: Any) -> bool:
    """Tell whether the client speaks Binance's spot API."""
    return isinstance(client, ccxt.binance)


def host_of(client: Any) -> str:
    """Return what limits are counted by: the host of a Binance-like venue, else the exchange's id."""
    if not is_like_binance(client):
        return str(client.id)
    return str(urlsplit(client.urls["api"]["public"]).netloc)


def _find_class(name: str) -> Any:
    if name == SIMULATOR:
        return ccxt.binance
    if name not in ccxt.exchanges:
        near = difflib.get_close_matches(name.lower(), [SIMULATOR, *ccxt.exchanges], n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "Expected simulator, or an exchange id of ccxt."
        raise SettingsError(f"Unknown exchange {name!r}. {hint} Set FKS_EXCHANGE.")
    return getattr(ccxt, name)


def _urls(venue: Venue) -> dict[str, Any]:
    if venue.url is None:
        if venue.name == SIMULATOR:
            raise SettingsError("The simulator needs its URL. Set FKS_EXCHANGE_URL, as http://127.0.0.1:4280.")
        return {}
    parts = urlsplit(venue.url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
        raise SettingsError("Expected FKS_EXCHANGE_URL as http(s)://host:port, was another kind of address.")
    base = venue.url.rstrip("/")
    paths = {"public": f"{base}/api/v3", "private": f"{base}/api/v3", "sapi": f"{base}/sapi/v1"}
    return {"test" if venue.sandbox else "api": paths}  # sandbox mode discards what was set as "api"


def _use_test_network(client: Any, name: str) -> None:
    if not client.urls.get("test"):
        raise SettingsError(f"{name} has no test network. Remove FKS_EXCHANGE_SANDBOX.")
    client.set_sandbox_mode(True)


def _use_production_errors(client: Any) -> None:
    """Read errors by Binance's spot table on every URL; ccxt knows it by Binance's own host names only."""
    spot = client.exceptions["spot"]
    client.get_exceptions_by_url = lambda _url, kind: spot.get(kind, {})


def _quiet_logger() -> logging.Logger:
    """Return a logger without debug lines: ccxt writes signed URLs and the key's header there."""
    logger = logging.getLogger(f"{__name__}.ccxt")
    logger.setLevel(logging.WARNING)
    return logger
