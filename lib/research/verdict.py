"""Whether a strategy may go on giving signals, by what it would have earned lately."""

from __future__ import annotations

from dataclasses import dataclass

from lib.research.metrics import BacktestMetrics


@dataclass(frozen=True)
class ValidationLimits:
    """What a strategy must reach; ratios.

    Attributes:
        sharpe: It must be above this, a year's.
        total_return: It must be above this.
        drawdown: The deepest one must be less than this, above zero: 0.3 is a fall of 30 %.
        trades: At least so many, or its numbers say nothing.
    """

    sharpe: float = 1.0
    total_return: float = 0.0
    drawdown: float = 0.30
    trades: int = 20


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
