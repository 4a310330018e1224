"""The frame of the control API under /control: loopback only, JSON bodies checked by a form, a list of what exists."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, ValidationError

from lib.simulator.answers import JSON_TYPE, to_answer

ROOT = "/control"


class Form(BaseModel):
    """The body of a control request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoFields(Form):
    """A request that says everything by its path."""


F = TypeVar("F", bound=Form)
LISTING: web.AppKey[list[dict[str, Any]]] = web.AppKey("control_listing", list)


def add_control(
    app: web.Application, method: str, path: str, form: type[F], action: Callable[[F], dict[str, Any]]
) -> None:
    """Register a control route and list it under GET /control.

    Args:
        app: The simulator, with `LISTING` set.
        method: HTTP method.
        path: Below /control.
        form: What the JSON body must be; an empty body is an empty object.
        action: Does the work and returns the answer; its `ValueError` becomes HTTP 400, its `LookupError` 404.
            The first line of its docstring is the description.
    """

    async def handle(request: web.Request) -> web.Response:
        try:
            return to_answer(action(form.model_validate(orjson.loads(await request.read() or b"{}"))))
        except ValidationError as error:
            where = (f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors())
            return _refuse(400, "; ".join(where))
        except LookupError as error:
            return _refuse(404, str(error.args[0]))
        except ValueError as error:
            return _refuse(400, str(error))

    app.router.add_route(method, path, handle)
    app[LISTING].append(
        {
            "method": method,
            "path": path,
            "what": (action.__doc__ or "").strip().splitlines()[0],
            "body": form.model_json_schema().get("properties", {}),
        }
    )


@web.middleware
async def guard_control(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse control requests that do not come from this machine, or name another host (a web page's trick)."""
    if request.path != ROOT and not request.path.startswith(ROOT + "/"):
        return await handler(request)
    if not (_is_loopback(request.remote or "") and _is_loopback(_host_of(request))):
        return _refuse(403, "The control API answers only to this machine, by its loopback address.")
    return await handler(request)


def _host_of(request: web.Request) -> str:
    host = request.host.rpartition(":")[0] or request.host
    return host.strip("[]")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(status: int, message: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"error": message}), content_type=JSON_TYPE)
