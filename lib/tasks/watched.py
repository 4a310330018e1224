"""What the settings want watched; a module of its own, as `fks status` must start quickly."""

from __future__ import annotations

from lib.health.stores import Watched
from lib.settings import Settings


def watched_of(settings: Settings) -> Watched:
    """Return symbols, timeframes and accounts of the settings."""
    return Watched(settings.symbols, settings.timeframes, tuple(settings.effective_accounts))
