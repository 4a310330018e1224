"""Binance's error answers."""

from __future__ import annotations


class ApiError(Exception):
    """An error the exchange answers with.

    Attributes:
        status: HTTP status.
        code: Binance's error code, negative.
        message: Binance's text.
        headers: Further headers of the answer, such as Retry-After.
    """

    def __init__(self, status: int, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
