"""The parameters of one request, as Binance reads them from the query string and the form body."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TypeVar
from urllib.parse import parse_qsl

from lib.simulator import api_errors

T = TypeVar("T")

SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
CLIENT_ORDER_ID = r"^[a-zA-Z0-9-_]{1,36}$"
ASSET = r"^[A-Z0-9]{1,20}$"
_DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_INTEGER = r"^[0-9]{1,20}$"
_DECIMALS = 8  # of every asset: baseAssetPrecision and quotePrecision in exchangeInfo


def parse_parameters(query: str, body: str) -> dict[str, str]:
    """Merge the raw query string and the raw form body; the query string wins where both name a parameter.

    Raises:
        ApiError: -1101 for a parameter sent twice in one place, -1105 for an empty one.
    """
    return {**_parse(body), **_parse(query)}


def _parse(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    values = dict(pairs)
    if len(values) < len(pairs):
        raise api_errors.duplicate_parameter()
    for name, value in pairs:
        if not value:
            raise api_errors.empty_parameter(name)
    return values


class Parameters:
    """Typed reading of one request's parameters; every reader returns None for an absent one."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def check_known(self, names: Collection[str]) -> None:
        """Refuse parameters the endpoint does not read.

        Raises:
            ApiError: -1104 with how many were read and sent.
        """
        read = sum(name in names for name in self._values)
        if read < len(self._values):
            raise api_errors.unread_parameters(read, len(self._values))

    def sent(self, name: str) -> bool:
        """Tell whether a parameter was sent."""
        return name in self._values

    def text(self, name: str, legal_range: str) -> str | None:
        """Return a parameter that fully matches the regular expression `legal_range`.

        Raises:
            ApiError: -1100 with the legal range.
        """
        value = self._values.get(name)
        if value is not None and not re.fullmatch(legal_range, value, re.ASCII):
            raise api_errors.illegal_characters(name, legal_range)
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number of 0 or more.

        Raises:
            ApiError: -1100 for anything else.
        """
        value = self.text(name, _INTEGER)
        return None if value is None else int(value)

    def decimal(self, name: str) -> Decimal | None:
        """Return a number of 0 or more in plain notation with at most eight decimals.

        Raises:
            ApiError: -1100 for signs and exponents, -1111 for more decimals.
        """
        value = self.text(name, _DECIMAL)
        if value is None:
            return None
        if len(value.partition(".")[2].rstrip("0")) > _DECIMALS:
            raise api_errors.too_precise(name)
        return Decimal(value)

    def flag(self, name: str) -> bool:
        """Return a boolean, false where it is absent.

        Raises:
            ApiError: -1130 for anything but true and false.
        """
        value = self._values.get(name, "false").lower()
        if value not in ("true", "false"):
            raise api_errors.invalid_parameter(name)
        return value == "true"

    def limit(self, default: int, maximum: int) -> int:
        """Return how many rows are asked for, at most `maximum`.

        Raises:
            ApiError: -1130 for none.
        """
        value = self.integer("limit")
        if value == 0:
            raise api_errors.invalid_parameter("limit")
        return default if value is None else min(value, maximum)


def need(value: T | None, name: str) -> T:
    """Return a mandatory parameter's value.

    Raises:
        ApiError: -1102 where it is absent.
    """
    if value is None:
        raise api_errors.mandatory(name)
    return value
