"""The switch that stops every order: the Prefect variable `trading_halted`, set by `fks halt` or in the UI."""

from __future__ import annotations

import httpx
from prefect.exceptions import PrefectException
from prefect.variables import Variable

from lib.errors import RetryableError

VARIABLE = "trading_halted"


async def read_halt() -> str | None:
    """Return why trading is halted; None when it is not. Any value but an empty one, false, no and 0 halts.

    Raises:
        RetryableError: The server does not answer. Who cannot ask must not trade.
    """
    try:
        value = await Variable.aget(VARIABLE)
    except (httpx.HTTPError, PrefectException) as error:
        raise RetryableError(
            f"Whether trading is halted could not be read from the Prefect server, so nothing is sent: {error}"
        ) from error
    if isinstance(value, str) and value.strip().lower() in {"", "false", "no", "off", "0"}:
        return None
    return str(value) if value else None
