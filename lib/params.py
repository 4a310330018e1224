"""Types of flow parameters, shared by flows and the command line so that both refuse the same input."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from lib.market.timeframes import WIDTHS


def _check_timeframe(timeframe: str) -> str:
    if timeframe not in WIDTHS:
        raise ValueError(f"expected one of {', '.join(WIDTHS)}, was {timeframe!r}")
    return timeframe


SymbolName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Z0-9]{1,20}/[A-Z0-9]{1,20}$"),
    Field(description='Base and quote, as "BTC/USDT".', examples=["BTC/USDT"]),
]
Timeframe = Annotated[str, AfterValidator(_check_timeframe), Field(json_schema_extra={"enum": list(WIDTHS)})]
