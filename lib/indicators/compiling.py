"""How the indicators' kernels are compiled, and where what is compiled is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numba import config, njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Compiled = TypeVar("Compiled", bound=Callable[..., Any])

SOURCES = ("compiling.py", "kernels.py", "series_kernels.py", "window_kernels.py")


def name_cache() -> str:
    """Return the folder of compiled kernels, named after the sources of all of them.

    Numba compares only a kernel's own file with what it compiled: after a change of a formula that a kernel in another
    file calls, it would go on with the old one.
    """
    folder = Path(__file__).parent
    sources = b"".join((folder / name).read_bytes() for name in ("kernels.py", "series_kernels.py"))
    given: str = config.CACHE_DIR  # type: ignore[attr-defined]
    parent = Path(given or folder / "__pycache__")
    return str(parent / f"kernels-{hashlib.sha256(sources).hexdigest()[:12]}")


config.CACHE_DIR = name_cache()  # type: ignore[attr-defined]  # numba makes its settings at import


def compiled(function: Compiled) -> Compiled:
    """Compile at the first call, or take what an earlier process compiled; runs without the interpreter's lock.

    `contract` lets the processor multiply and add in one step, which halves the wait of the recursions; it is the only
    liberty taken with floating point.
    """
    compile_it: Any = njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
    callable_as_before: Compiled = compile_it(function)
    return callable_as_before
