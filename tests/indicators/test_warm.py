"""Compiling happens once, ahead of time, and only where indicators are computed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import lib
from lib.indicators import kernels

HEAVY = ("numba", "llvmlite", "matplotlib", "pyarrow", "talib", "ta")
NOT_YET = ("numpy", "pandas", "feedparser", "jinja2", "lib.wiring_later")
COUNT_COMPILED = """
import json, sys
from lib.indicators import kernels, series_kernels, warm
warm.warm_kernels()
named = {**vars(kernels), **vars(series_kernels)}
stats = [kernel.stats for kernel in named.values() if hasattr(kernel, "stats")]
hits = sum(sum(one.cache_hits.values()) for one in stats)
misses = sum(sum(one.cache_misses.values()) for one in stats)
print(json.dumps([hits, misses]))
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_five_minute_chain_imports_is_free_of_what_it_does_not_need() -> None:
    assert find_imported("flows.market, lib.platform, lib.wiring", (*HEAVY, *NOT_YET)) == []


def test_what_refreshes_indicators_imports_no_kernel_before_there_is_work() -> None:
    refreshing = "lib.indicators.refresh, lib.adapters.database.indicators, lib.adapters.database.history"
    assert find_imported(refreshing, HEAVY) == []


def find_imported(modules: str, of: tuple[str, ...]) -> list[str]:
    """Return which of some packages a new process has after importing modules."""
    code = f"import json, sys, {modules}\nprint(json.dumps([name for name in {of!r} if name in sys.modules]))"
    imported: list[str] = json.loads(run(code).splitlines()[-1])
    return imported


def test_the_next_process_compiles_nothing(tmp_path: Path) -> None:
    hits, misses = json.loads(run(COUNT_COMPILED, NUMBA_CACHE_DIR=str(tmp_path)))
    assert misses > 0
    hits, misses = json.loads(run(COUNT_COMPILED, NUMBA_CACHE_DIR=str(tmp_path)))
    assert (hits > 0, misses) == (True, 0)


def test_no_kernel_is_compiled_twice_whatever_it_is_given() -> None:
    matrix = np.arange(12.0).reshape(3, 4) + 1
    frozen = matrix.copy()
    frozen.flags.writeable = False
    for given in (
        matrix,
        frozen,
        np.asfortranarray(matrix),
        matrix[:, ::2],
        matrix.astype(np.float32),
        matrix.tolist(),
    ):
        kernels.sma(given, 2)
        kernels.bollinger(given, 2, 2)
        kernels.highest(given, np.int64(2))  # type: ignore[arg-type]  # what a parameter search hands over
    for name in ("_sma", "_bollinger", "_extreme"):
        assert len(getattr(kernels, name).signatures) == 1


def test_a_change_of_any_kernels_source_compiles_all_anew(tmp_path: Path) -> None:
    """Numba by itself would go on with the old formulas of kernels that another file calls."""
    room = tmp_path / "lib"
    shutil.copytree(Path(lib.__file__).parent, room, ignore=shutil.ignore_patterns("__pycache__", "simulator"))
    code = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport numpy as np\nfrom lib.indicators import kernels\n"
        "print(kernels.rsi(np.ones((1, 30)), 14)[0, -1])"
    )
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(code, **environment).split() == ["50.0"]
    changed = room / "indicators" / "series_kernels.py"
    changed.write_text(changed.read_text().replace("NEUTRAL_RSI = 50.0", "NEUTRAL_RSI = 51.0"))
    assert run(code, **environment).split() == ["51.0"]
