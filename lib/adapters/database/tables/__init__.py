"""Every table; `load_all` fills `SQLModel.metadata`. A module of tables is imported only by what uses it."""

from __future__ import annotations

import pkgutil
from importlib import import_module


def load_all() -> None:
    """Import every module of tables, for the migrations and for who looks at the whole metadata."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
