"""Whether a strategy may go on giving signals, by what it would have earned lately."""

from __future__ import annotations

from dataclasses import dataclass

from lib.research.metrics import BacktestMetrics
from lib.strategy.stores import StoredCandidate


@dataclass(frozen=True)
class ValidationLimits:
    """What a strategy must reach; ratios.

    Attributes:
        sharpe: It must be above this, a year's.
        total_return: It must be above this.
        drawdown: The deepest one must be less than this, above zero: 0.3 is a fall of 30 %.
        trades: At least so many, or its numbers say nothing.
        deflated_sharpe: Of a candidate's search, at least: the probability that it is more than luck.
        overfitting: Of a candidate's search, at most: how often what was best turned out worse than half.
    """

    sharpe: float = 1.0
    total_return: float = 0.0
    drawdown: float = 0.30
    trades: int = 20
    deflated_sharpe: float = 0.95
    overfitting: float = 0.5


def find_failures(metrics: BacktestMetrics, limits: ValidationLimits) -> list[str]:
    """Return what a strategy did not reach, with the numbers; none when it passes. What is not known is not reached."""
    growth = metrics.growth
    failures = []
    if growth.sharpe is None or not growth.sharpe > limits.sharpe:
        was = "is not defined" if growth.sharpe is None else f"{growth.sharpe:.2f}"
        failures.append(f"Sharpe {was}, expected above {limits.sharpe:g}")
    if not growth.total_return > limits.total_return:
        failures.append(f"return {100 * growth.total_return:.1f} %, expected above {100 * limits.total_return:g} %")
    if not -growth.max_drawdown < limits.drawdown:
        failures.append(f"drawdown {-100 * growth.max_drawdown:.1f} %, expected below {100 * limits.drawdown:g} %")
    if metrics.trades < limits.trades:
        failures.append(f"{metrics.trades} trades, expected at least {limits.trades}")
    return failures


def describe_numbers(metrics: BacktestMetrics) -> str:
    """Return the numbers that are judged, in one line."""
    growth = metrics.growth
    sharpe = "–" if growth.sharpe is None else f"{growth.sharpe:.2f}"
    return (
        f"Sharpe {sharpe}, return {100 * growth.total_return:.1f} %, drawdown {-100 * growth.max_drawdown:.1f} %, "
        f"{metrics.trades} trades"
    )


def find_obstacles(candidate: StoredCandidate, code_version: str, limits: ValidationLimits) -> list[str]:
    """Return what of its search speaks against a candidate; none when nothing does. What is not known speaks against.

    What it did on days that did not choose it must be better than what the parameters in force did on them.
    """
    if candidate.code_version != code_version:
        return ["its strategy's code has changed since it was chosen"]
    metrics = candidate.metrics
    obstacles = []
    deflated, overfitting = metrics.get("deflated_sharpe"), metrics.get("overfitting")
    if deflated is None or not deflated >= limits.deflated_sharpe:
        obstacles.append(f"deflated Sharpe {_show(deflated)}, expected at least {limits.deflated_sharpe:g}")
    if overfitting is None or not overfitting <= limits.overfitting:
        obstacles.append(f"overfitting {_show(overfitting)}, expected at most {limits.overfitting:g}")
    after, in_force = (metrics.get(name, {}).get("sharpe") for name in ("out_of_sample", "in_force_out_of_sample"))
    if after is None or not after > (in_force or 0.0):
        obstacles.append(f"Sharpe out of sample {_show(after)}, expected above {_show(in_force or 0.0)} as in force")
    return obstacles


def _show(number: float | None) -> str:
    return "is not known" if number is None else f"{number:.2f}"
