"""Which code decides: kept with plans and orders, so that it can be told later what a decision was made with."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent


@cache
def find_code_version() -> str:
    """Return the release and a digest of the library's source, "0.1.0+3f9a1c20b7d4"; equal code, equal version."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(ROOT.rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{version('fks')}+{digest.hexdigest()}"
