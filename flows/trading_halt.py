"""The switch that stops every order: the Prefect variable `trading_halted`, set by `fks halt` or in the UI."""

from __future__ import annotations

import httpx
from prefect import get_client
from prefect.events import emit_event
from prefect.exceptions import PrefectException

from lib.errors import RetryableError
from lib.execution.halt import FREE_EVENT, HALTED_EVENT, SWITCH, VARIABLE, Halt, parse_halt


async def load_halt() -> Halt | None:
    """Return the trading halt, None while there is none.

    Raises:
        RetryableError: The server does not answer. Who cannot ask must not trade.
    """
    try:
        async with get_client() as client:
            variable = await client.read_variable_by_name(VARIABLE)
    except (httpx.HTTPError, PrefectException) as error:
        raise RetryableError(
            f"Whether trading is halted could not be read from the Prefect server, so nothing is sent: {error}"
        ) from error
    return parse_halt(variable.value, variable.updated) if variable else None


async def read_halt() -> str | None:
    """Return why trading is halted, with who and when; None when it is not. Raises as `load_halt`."""
    halt = await load_halt()
    return halt.describe() if halt else None


def tell_server(halt: Halt | None) -> None:
    """Tell the server as an event what the switch says: it reminds people of a halt that lasts."""
    emit_event(FREE_EVENT if halt is None else HALTED_EVENT, {"prefect.resource.id": SWITCH})
