"""What an armed fault does to a request and its reply."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lib.simulator import api_errors
from lib.simulator.answers import JSON_TYPE, to_answer, to_error_answer
from lib.simulator.api_errors import ApiError
from lib.simulator.faults import Fault, Faults

HTML_PAGE = b"<html><head><title>Error</title></head><body><h1>The page is temporarily unavailable</h1></body></html>"
_SHIFT_MS = 1_234  # how far a misaligned candle opens off the grid
_STATUS_ERRORS = {
    429: (
        -1003,
        "Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API.",
    ),
    418: (-1003, "Way too much request weight used; IP banned."),
}


def to_middleware(faults: Faults) -> Middleware:
    """Return the middleware that lets armed faults strike; the control API is spared."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not faults.is_armed or request.path.startswith("/control"):
            return await handler(request)
        fault = faults.take_for_request(request.method, request.path, await _symbol_of(request))
        return await handler(request) if fault is None else await _strike(fault, request, handler)

    return strike


async def _symbol_of(request: web.Request) -> str | None:
    if "symbol" in request.query:
        return request.query["symbol"]
    body = (await request.read()).decode("utf-8", "replace") if request.can_read_body else ""
    return dict(parse_qsl(body)).get("symbol")


async def _strike(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Play the fault. Kinds that end in `_after`, and those that spoil the reply, let the request take effect."""
    kind = fault.kind
    if kind in ("status", "timestamp", "unknown_before"):
        return to_error_answer(_to_error(fault))
    if kind == "delay":
        await asyncio.sleep(float(fault.params["seconds"]))
        return await handler(request)
    if kind == "timeout_before":
        return await _hold(request, float(fault.params["seconds"]))
    if kind == "drop_before":
        return _drop(request)
    answer = await handler(request)
    if kind == "timeout_after":
        return await _hold(request, float(fault.params["seconds"]))
    if kind == "drop_after":
        return _drop(request)
    if kind == "unknown_after":
        return to_error_answer(api_errors.backend_timeout())
    return _spoil(fault, answer)


def _to_error(fault: Fault) -> ApiError:
    if fault.kind == "timestamp":
        return api_errors.outside_window()
    if fault.kind == "unknown_before":
        return api_errors.backend_timeout()
    status, retry_after = int(fault.params["status"]), fault.params["retry_after"]
    usual = api_errors.disconnected() if status == 503 else api_errors.unknown_error()
    code, message = _STATUS_ERRORS.get(status, (usual.code, usual.message))
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return ApiError(status, fault.params["code"] or code, fault.params["message"] or message, headers)


async def _hold(request: web.Request, seconds: float) -> web.Response:
    """Keep the client waiting, then drop it; ends early when the client gives up."""
    deadline = asyncio.get_running_loop().time() + seconds
    while request.transport is not None and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  no event tells
        await asyncio.sleep(0.05)
    return _drop(request)


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # goes nowhere: the connection is gone


def _spoil(fault: Fault, answer: web.StreamResponse) -> web.Response:
    variant = fault.params["variant"]
    body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
    if fault.kind == "body":
        return _spoil_body(variant, body)
    spoiled = _spoil_types(variant, orjson.loads(body)) if fault.kind == "types" else _spoil_candles(variant, body)
    text = json.dumps(spoiled).encode()  # the standard library writes a bare NaN, which orjson never does
    return web.Response(status=answer.status, body=text, content_type=JSON_TYPE, charset="UTF-8")


def _spoil_body(variant: str, body: bytes) -> web.Response:
    if variant == "html":
        return web.Response(body=HTML_PAGE, content_type="text/html")
    if variant == "text":
        return web.Response(body=b"OK", content_type="text/plain")
    return to_answer(body[: len(body) // 2] if variant == "truncated" else b"")


def _spoil_types(variant: str, value: Any) -> Any:
    change: dict[str, Callable[[str], Any]] = {
        "text_as_numbers": float,
        "nan": lambda _: "NaN",
        "infinity": lambda _: "Infinity",
        "bare_nan": lambda _: float("nan"),
    }
    if isinstance(value, dict):
        return {name: _spoil_types(variant, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_spoil_types(variant, item) for item in value]
    if isinstance(value, str) and variant in change and value.replace(".", "", 1).isdigit():
        return change[variant](value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if variant == "numbers_as_text" and is_number else value


def _spoil_candles(variant: str, body: bytes) -> Any:
    """Spoil an answer of klines; any other answer stays as it is."""
    rows = orjson.loads(body)
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], list):
        return rows
    if variant == "out_of_order":
        return rows[1::2] + rows[::2]
    if variant == "duplicated":
        return rows[: len(rows) // 2 + 1] + rows[len(rows) // 2 :]
    if variant == "misaligned":
        return [[row[0] + _SHIFT_MS, *row[1:6], row[6] + _SHIFT_MS, *row[7:]] for row in rows]
    ahead = 10 * (rows[-1][6] + 1 - rows[-1][0])
    return [*rows, [rows[-1][0] + ahead, *rows[-1][1:6], rows[-1][6] + ahead, *rows[-1][7:]]]
