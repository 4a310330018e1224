"""Types of flow parameters, shared by flows and the command line so that both refuse the same input."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from lib.market.timeframes import WIDTHS


def _check_timeframe(timeframe: str) -> str:
    if timeframe not in WIDTHS:
        raise ValueError(f"expected one of {', '.join(WIDTHS)}, was {timeframe!r}")
    return timeframe


AssetName = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9]{1,20}$")]
SymbolName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9]{1,20}/[A-Za-z0-9]{1,20}$"),
    Field(description='Base and quote, as "BTC/USDT".', examples=["BTC/USDT"]),
]
Timeframe = Annotated[str, AfterValidator(_check_timeframe), Field(json_schema_extra={"enum": list(WIDTHS)})]
# A form offers one kind of field: pydantic's own schema would offer a text beside the number, and check nothing there.
Price = Annotated[
    Decimal,
    Field(gt=0, max_digits=24, decimal_places=12),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
