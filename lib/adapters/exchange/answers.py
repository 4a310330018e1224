"""What every answer must be: pure checks of JSON that came from outside.

A value of another type than Binance documents refuses the whole answer (`BadAnswer` names where, what was expected and
what came); prices and quantities are text there, times and counts integers. An impossible candle of the right types is
put aside with its reason, so that one bad tick does not stop a series.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from lib.errors import BadAnswer
from lib.units import from_milliseconds

LATEST = 4_102_444_800_000  # the year 2100, in milliseconds: no time of an exchange lies beyond
SHOWN = 24  # characters of a wrong value: enough to recognise it, too few for a secret
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_NOT_FINITE = re.compile(r"[-+]?(nan|inf|infinity)", re.IGNORECASE)


def refuse(where: str, field: str, expected: str, was: Any) -> BadAnswer:
    """Return the error for a value that is not what the `field` (may be empty) of the answer `where` must hold."""
    place = f"{where}, {field}" if field else where
    return BadAnswer(f"Bad answer in {place}: expected {expected}, was {_describe(was)}. Nothing is stored.")


def _describe(value: Any) -> str:
    if isinstance(value, str):
        return f"text {value[:SHOWN]!r}{'…' if len(value) > SHOWN else ''}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {', '.join(list(value)[:3])[:SHOWN] or 'nothing'}"
    return f"{type(value).__name__} {str(value)[:SHOWN]}"


def to_list(value: Any, where: str, field: str = "") -> list[Any]:
    """Return a JSON array.

    Raises:
        BadAnswer: It is something else; so for all functions here.
    """
    if not isinstance(value, list):
        raise refuse(where, field, "a list", value)
    return value


def to_object(value: Any, where: str, field: str = "") -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise refuse(where, field, "an object", value)
    return value


def to_text(value: Any, where: str, field: str) -> str:
    """Return text that is not empty."""
    if not isinstance(value, str) or not value:
        raise refuse(where, field, "text", value)
    return value


def to_integer(value: Any, where: str, field: str) -> int:
    """Return an integer; not text, not a float, not a boolean."""
    if type(value) is not int:
        raise refuse(where, field, "an integer", value)
    return value


def to_flag(value: Any, where: str, field: str) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        raise refuse(where, field, "true or false", value)
    return value


def to_decimal(value: Any, where: str, field: str) -> Decimal:
    """Return the exact number that a text writes; NaN, infinities and JSON numbers are refused."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise refuse(where, field, "a finite number as text", value)
    return Decimal(value)


def to_statistic(value: Any, where: str, field: str) -> float:
    """Return the float that a text writes, also when it is not finite: a candle's checks name those."""
    if isinstance(value, str) and (_NUMBER.fullmatch(value) or _NOT_FINITE.fullmatch(value)):
        return float(value)
    raise refuse(where, field, "a number as text", value)


def to_amount(value: Any, where: str, field: str) -> Decimal:
    """Return a number of zero or more."""
    number = to_decimal(value, where, field)
    if number < 0:
        raise refuse(where, field, "zero or more", value)
    return number


def to_positive(value: Any, where: str, field: str) -> Decimal:
    """Return a number above zero."""
    number = to_decimal(value, where, field)
    if number <= 0:
        raise refuse(where, field, "a number above zero", value)
    return number


def to_instant(value: Any, where: str, field: str = "") -> datetime:
    """Return the UTC instant of positive Unix milliseconds."""
    if not 0 < to_integer(value, where, field) < LATEST:
        raise refuse(where, field, "Unix milliseconds", value)
    return from_milliseconds(value)


def to_server_time(answer: Any, where: str) -> datetime:
    """Return the instant of Binance's answer to ``time``."""
    return to_instant(to_object(answer, where).get("serverTime"), where, "serverTime")
