"""Discretion: the libraries that see a channel's URL write it, with its token, into their own log lines."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TALKATIVE = ("apprise", "urllib3.connectionpool")


class _Silencer(logging.Filter):
    """Drops the lines of threads that are in `discreet`, and keeps Apprise's warnings for whoever asked."""

    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        lines: list[str] | None = getattr(self.local, "lines", None)
        if lines is None:
            return True
        if record.name == TALKATIVE[0] and record.levelno >= logging.WARNING:
            lines.append(record.getMessage())
        return False


_silencer = _Silencer()


@contextmanager
def discreet() -> Iterator[list[str]]:
    """Let no log line about URLs out of this thread; gives Apprise's warnings, which may hold secrets."""
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_silencer)  # adding the same filter again does nothing
    lines: list[str] = []
    _silencer.local.lines = lines
    try:
        yield lines
    finally:
        _silencer.local.lines = None
