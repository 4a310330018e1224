"""Who signed a request, and when: HMAC-SHA256 over query string and body, inside the time window.

Source: Binance Spot "SIGNED Endpoint security" and "Timing security".
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from aiohttp import web

from lib.simulator import api_errors
from lib.simulator.parameters import Parameters, need, parse_parameters

KEY_HEADER = "X-MBX-APIKEY"
SIGNING_PARAMETERS = ("signature", "timestamp", "recvWindow")
DEFAULT_WINDOW_MS = 5_000
LONGEST_WINDOW_MS = 60_000
AHEAD_MS = 1_000
_MICROSECOND_DIGITS = 16  # a timestamp of so many digits is in microseconds, which Binance takes as well


@dataclass(frozen=True)
class SignedText:
    """The two raw texts a signature covers, exactly as they came over the wire."""

    query: str
    body: str

    def payload(self) -> str:
        """Return what is signed: query string and body without separator, without the signature itself."""
        return _without_signature(self.query) + _without_signature(self.body)


def _without_signature(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


async def read_signed_text(request: web.Request) -> SignedText:
    """Read what a request's signature covers.

    A body that is not a form carries no parameters: some clients send an empty JSON document beside their query.
    """
    query = request.raw_path.partition("?")[2]
    if request.method == "GET" or "json" in request.headers.get("Content-Type", ""):
        return SignedText(query, "")
    return SignedText(query, (await request.read()).decode("utf-8", "replace"))


def read_key(request: web.Request) -> str:
    """Return the API key's text.

    Raises:
        ApiError: -2014 where it is missing or cannot be one.
    """
    key = request.headers.get(KEY_HEADER, "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", key):
        raise api_errors.malformed_key()
    return key


def sign(secret: str, payload: str) -> str:
    """Return the hex HMAC-SHA256 of a payload."""
    return hmac.new(secret.encode(), payload.encode(), "sha256").hexdigest()


def check_signature(text: SignedText, secret: str, now_ms: int) -> Parameters:
    """Return the parameters of a request that was signed with `secret` inside its time window.

    Raises:
        ApiError: -1102 without signature or timestamp, -1022 for a wrong signature, -1021 outside the window, -1131
            for a window over a minute, and what `parse_parameters` raises.
    """
    values = parse_parameters(text.query, text.body)
    signature = values.get("signature")
    parameters = Parameters(values)
    timestamp = need(parameters.integer("timestamp"), "timestamp")
    expected = sign(secret, text.payload())
    # Hex digits in either case are accepted.
    if not hmac.compare_digest(need(signature, "signature").lower().encode(), expected.encode()):
        raise api_errors.invalid_signature()
    _check_time(timestamp, parameters, now_ms)
    return parameters


def _check_time(timestamp: int, parameters: Parameters, now_ms: int) -> None:
    sent_ms = timestamp // 1000 if len(str(timestamp)) >= _MICROSECOND_DIGITS else timestamp
    asked_ms = parameters.decimal("recvWindow")
    window_ms = DEFAULT_WINDOW_MS if asked_ms is None else asked_ms
    if window_ms > LONGEST_WINDOW_MS:
        raise api_errors.too_wide_window()
    if sent_ms >= now_ms + AHEAD_MS:
        raise api_errors.ahead_of_time()
    if now_ms - sent_ms > window_ms:
        raise api_errors.outside_window()
