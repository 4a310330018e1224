"""Backtests: a year of 5m candles, an EMA cross with a stop in ATRs, beside vectorbt, raptorbt and backtesting.py.

One run, and a grid of 200 parameters with metrics, both warm and from a fresh process. Each engine has processes of its
own, which take turns; the peers are installed into a throw-away environment with our pinned numpy, pandas and numba.
Seconds are those of the processors, as other work may share the machine; wall-clock seconds stand beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks.backtest_engines import ENGINES, PAIRS, SLOW_ENGINES
from benchmarks.measuring import show_table

ROOT = Path(__file__).parent.parent
PEERS = ("vectorbt==1.2.0", "raptorbt==0.13.4", "backtesting==0.6.6")
BARS = 105_120  # a year of 5m
ROUNDS = 2
WARM_ROUNDS = {"FKS, one processor": 10, "FKS": 10, "raptorbt": 3}  # of a process; one for those that take long
OURS, OURS_ON_ALL = "FKS, one processor", "FKS"
GOALS = (  # peer, what of it, the engine of ours, how many times as fast it is to be
    ("vectorbt", "grid", OURS, 100),
    ("raptorbt", "grid", OURS_ON_ALL, 40),
    ("backtesting.py", "grid", OURS_ON_ALL, 2000),
    ("vectorbt", "fresh", OURS, 8),
)
SIZES = (BARS // 4, BARS, 4 * BARS)


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pythons = dict.fromkeys(ENGINES, Path(sys.executable)) | _install_peers(folder)
        candles = make_candles(folder, BARS)
        warm, fresh = measure({engine: python for engine, python in pythons.items() if python}, candles)
        show(warm, fresh)
        _show_growth(folder)


def make_candles(folder: Path, bars: int) -> Path:
    """Store a random walk that opens at the close before."""
    draw = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(draw.normal(0, 0.001, bars)))
    opened = np.append(100.0, close[:-1])
    high = np.maximum(opened, close) * (1 + draw.uniform(0, 0.0008, bars))
    low = np.minimum(opened, close) * (1 - draw.uniform(0, 0.0008, bars))
    at = np.datetime64("2025-01-01", "ns") + np.arange(bars) * np.timedelta64(300, "s")
    path = folder / f"{bars}.npz"
    np.savez(path, opened_at=at, open=opened, high=high, low=low, close=close, volume=np.ones(bars))
    return path


def measure(
    pythons: dict[str, Path], candles: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, list[tuple[float, float]]]]:
    """Return each engine's warm rounds, and (processor, wall) seconds of its fresh processes."""
    warm: dict[str, dict[str, Any]] = {}
    fresh: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(ROUNDS):
        for engine, python in pythons.items():
            told, _ = start(python, engine, candles, WARM_ROUNDS.get(engine, 1))  # leaves what it compiled on disk
            seen = warm.setdefault(engine, {"done": told["done"], "single": [], "grid": []})
            for what in ("single", "grid"):
                seen[what] += told[what]
            if engine in WARM_ROUNDS or (engine not in SLOW_ENGINES and number == 0):
                fresh[engine].append(start(python, engine, candles, 0)[1])
    return warm, fresh


def start(python: Path, engine: str, candles: Path, rounds: int) -> tuple[dict[str, Any], tuple[float, float]]:
    """Run an engine's process; return what it told, and its (processor, wall) seconds."""
    command = [str(python), str(ROOT / "benchmarks" / "backtest_engines.py"), engine, str(candles), str(rounds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAPTORBT_NO_VERSION_CHECK": "1"}
    before, began = psutil.Process().cpu_times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds, after = time.perf_counter() - began, psutil.Process().cpu_times()
    if done.returncode:
        raise RuntimeError(f"{engine} failed: {done.stderr[-2000:]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told, (spent, seconds)


def show(warm: dict[str, dict[str, Any]], fresh: dict[str, list[tuple[float, float]]]) -> None:
    """Print what was measured; ratios are to `OURS`, in processor seconds."""
    rows = []
    for engine, seen in warm.items():
        pairs, trades, total = seen["done"]
        cells: list[object] = [engine]
        for times, ours in ((seen["single"], warm[OURS]["single"]), (seen["grid"], warm[OURS]["grid"])):
            cells += _to_cells([one[1] for one in times], [one[0] for one in times], [one[1] for one in ours])
        if engine in SLOW_ENGINES:
            cells += ["", ""]
        else:
            ours_fresh = [one[0] for one in fresh[OURS]]
            cells += _to_cells([one[0] for one in fresh[engine]], [one[1] for one in fresh[engine]], ours_fresh)
        rows.append([*cells, f"{trades:,.0f}", f"{100 * total:.1f} % ({pairs})"])
    heads = ("engine", "one run, s (wall)", "x", f"{len(PAIRS)}, s (wall)", "x", f"fresh, {len(PAIRS)}, s (wall)", "x")
    show_table((*heads, "mean trades", "mean return (of)"), rows)
    _show_goals(warm, fresh)
    rate = BARS * len(PAIRS) / median(one[1] for one in warm[OURS]["grid"])
    print(f"\n{rate / 1e6:,.0f} million candles a second and processor.", flush=True)


def _show_goals(warm: dict[str, dict[str, Any]], fresh: dict[str, list[tuple[float, float]]]) -> None:
    """Print each goal beside what was reached, by the clock (two processors count once) and by processor seconds."""
    rows = []
    for peer, what, engine, goal in GOALS:
        if peer not in warm:
            continue
        theirs, ours = (fresh[peer], fresh[engine]) if what == "fresh" else (warm[peer][what], warm[engine][what])
        spent, clock = (1, 0) if what == "grid" else (0, 1)  # how `start` and the engines' process tell them
        ratios = (median(one[at] for one in theirs) / median(one[at] for one in ours) for at in (clock, spent))
        rows.append((f"{what}: {engine} against {peer}", f"{goal:,}", *(f"{ratio:,.1f}" for ratio in ratios)))
    if not rows:
        return
    print(flush=True)
    show_table(("goal", "times as fast", "by the clock", "in processor seconds"), rows)


def _to_cells(spent: list[float], wall: list[float], ours: list[float]) -> list[object]:
    ratio = median(spent) / median(ours)
    return [f"{median(spent):,.3f} ({median(wall):,.2f})", f"{ratio:,.1f}"]


def _show_growth(folder: Path) -> None:
    rows = []
    for bars in SIZES:
        told, _ = start(Path(sys.executable), OURS, make_candles(folder, bars), WARM_ROUNDS[OURS])
        seconds = median(one[1] for one in told["grid"])
        rows.append((f"{bars:,}", f"{1000 * seconds:,.0f}", f"{bars * len(PAIRS) / seconds / 1e6:,.0f}"))
    show_table(("candles", f"{len(PAIRS)} parameters, ms", "million candles a second"), rows)


def _install_peers(folder: Path) -> dict[str, Path | None]:
    """Return the Python of each peer; None, with the reason printed, where they cannot be installed."""
    environment = folder / "peers"
    python = environment / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    pins = ["-c", str(ROOT / "requirements-dev.txt")]
    install = [*uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(python), *pins, *PEERS, "psutil"]
    for command in ([*uv, "venv", "-q", "--python", sys.executable, str(environment)], install):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            print(f"Without the peers: {done.stderr.strip()[-500:]}", flush=True)
            return dict.fromkeys(("vectorbt", "raptorbt", "backtesting.py"))
    return dict.fromkeys(("vectorbt", "raptorbt", "backtesting.py"), python)
