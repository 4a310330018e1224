"""JSON answers as Binance writes them."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from lib.simulator.api_errors import ApiError

JSON_TYPE = "application/json"


def to_answer(body: Any) -> web.Response:
    """Answer 200 with a value; bytes are taken as JSON already written."""
    text = body if isinstance(body, bytes) else orjson.dumps(body)
    return web.Response(body=text, content_type=JSON_TYPE, charset="UTF-8")


def to_error_answer(error: ApiError) -> web.Response:
    """Answer an error as `{"code": ..., "msg": ...}` with its HTTP status and headers."""
    return web.Response(
        status=error.status,
        body=orjson.dumps({"code": error.code, "msg": error.message}),
        content_type=JSON_TYPE,
        charset="UTF-8",
        headers=error.headers,
    )
