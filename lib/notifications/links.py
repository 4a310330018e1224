"""The link that every message carries to where it was recorded, as the page of the flow run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_link: ContextVar[str | None] = ContextVar("fks_message_link", default=None)


@contextmanager
def link_messages(url: str | None) -> Iterator[None]:
    """Let messages that are recorded meanwhile, in this task and the threads it starts, carry this link."""
    token = _link.set(url)
    try:
        yield
    finally:
        _link.reset(token)


def find_link() -> str | None:
    """Return the link for what is recorded now."""
    return _link.get()
