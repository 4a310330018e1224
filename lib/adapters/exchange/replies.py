"""What came back for one request: status, headers and body, kept apart for each of the requests in flight.

ccxt keeps the last answer's headers on the client, where concurrent requests overwrite each other's, and goes on with
text, or an empty result, where JSON was due. Its hooks `on_rest_response` and `on_json_response` run in the task that
asked, so a context variable carries the right answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

LONGEST_MESSAGE = 200


@dataclass
class Reply:
    """One answer, as far as it came.

    Attributes:
        status: HTTP status; 0 when nothing came.
        headers: By lower-case name.
        body: As text.
        malformed: It was no JSON.
        secrets: What must never be quoted from it.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)
    malformed: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def code(self) -> int | None:
        """The exchange's own error code (Binance: negative), None without one."""
        code = self._error().get("code")
        return code if isinstance(code, int) else None

    @property
    def message(self) -> str:
        """The exchange's own words about an error, short and without our secrets; for people, never for decisions."""
        text = self._error().get("msg")
        text = " ".join(text.split()) if isinstance(text, str) else ""
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "…")
        return text[:LONGEST_MESSAGE]

    @property
    def retry_after(self) -> timedelta | None:
        """How long the exchange asks us to wait; None when it does not say, or not in seconds above zero."""
        seconds = _to_count(self.headers.get("retry-after"))
        return timedelta(seconds=seconds) if seconds else None

    @property
    def used_weight(self) -> int | None:
        """The weight that this address has used in the exchange's present minute."""
        return _to_count(self.headers.get("x-mbx-used-weight-1m"))

    @property
    def order_count(self) -> int | None:
        """The orders that this account has placed in the exchange's present ten seconds."""
        return _to_count(self.headers.get("x-mbx-order-count-10s"))

    def _error(self) -> Mapping[str, Any]:
        try:
            answer = json.loads(self.body) if self.body.startswith("{") else {}
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}


def _to_count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


_expected: ContextVar[Reply | None] = ContextVar("expected_reply", default=None)


@contextmanager
def expect_reply(*secrets: str) -> Iterator[Reply]:
    """Give the reply that `record_reply` fills in while the request of this task is under way."""
    reply = Reply(secrets=secrets)
    token = _expected.set(reply)
    try:
        yield reply
    finally:
        _expected.reset(token)


def record_reply(
    status: int,
    reason: str,  # noqa: ARG001 (the signature of ccxt's hook)
    url: str,  # noqa: ARG001
    method: str,  # noqa: ARG001
    headers: Mapping[str, str],
    body: str,
    *_request: Any,
) -> str:
    """Keep one answer; ccxt's `on_rest_response` hook. Returns the body that ccxt goes on with."""
    body = body.strip()
    reply = _expected.get()
    if reply is not None:
        reply.status = status
        reply.headers = {name.lower(): value for name, value in headers.items()}
        reply.body = body
        reply.malformed |= not body.startswith(("{", "["))
    return body


def to_watched(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return ccxt's `on_json_response` hook around its parser: it keeps that an answer could not be parsed."""

    def parse_reply(body: str) -> Any:
        try:
            return parse(body)
        except ValueError:
            reply = _expected.get()
            if reply is not None:
                reply.malformed = True
            raise

    return parse_reply
