"""Paired runs, medians and the table of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from tabulate import tabulate


def measure_paired(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure each way once a round, so that a slow moment of the machine meets all of them alike.

    Args:
        ways: Each does the work once and returns what was measured, usually seconds.
        rounds: How often; every second round goes through the ways backwards.

    Returns:
        The measurements of each way in order of the rounds.
    """
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            measured[name].append(ways[name]())
    return measured


def calc_ratio(times: Sequence[float], peer: Sequence[float]) -> float:
    """Return how many times as fast as the peer: the median of the rounds' ratios, both in seconds."""
    return median(theirs / ours for ours, theirs in zip(times, peer, strict=True))


def render_spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median with the smallest and the largest value."""
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def show_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that can be pasted into docs/benchmarks.md."""
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True), flush=True)
