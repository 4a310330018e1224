"""Value at risk and expected shortfall of today's holdings over one day, by historical simulation.

Each past day is one scenario: what today's holdings, at today's values, would have lost had that day's returns come
again. Losses are positive numbers, as ratios of equity; cash does not move. The distribution is the empirical one,
without smoothing or weighting of recent days.

* Value at risk at confidence c: the smallest loss that was not exceeded on at least c of the days, which is the loss of
  rank ``ceil(n * c)`` in rising order (numpy's quantile method ``inverted_cdf``). A negative one is a gain.
* Expected shortfall at c: the mean of the worst ``n * (1 - c)`` days, where the last of them may count in part (Acerbi
  and Tasche, "On the coherence of expected shortfall", 2002). It is never below the value at risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from lib.market.matrix import CandleMatrix, FloatMatrix
from lib.risk.returns import to_daily_returns, to_instant

CONFIDENCES = (Decimal("0.95"), Decimal("0.99"))


@dataclass(frozen=True)
class TailLoss:
    """The tail of the losses at one confidence; ratios of equity, a loss is positive."""

    value_at_risk: float
    expected_shortfall: float


@dataclass(frozen=True)
class ValueAtRisk:
    """What today's holdings may lose within one day.

    Attributes:
        tail_95: At 95 % confidence.
        tail_99: At 99 % confidence; with 100 days that is the second worst day, and the worst one.
        days: Days in the distribution.
        worst_day: UTC day of the largest loss.
        worst_loss: The loss of that day, ratio of equity.
        assumed: Symbols with too short a history, taken to move as the others together did.
    """

    tail_95: TailLoss
    tail_99: TailLoss
    days: int
    worst_day: date
    worst_loss: float
    assumed: tuple[str, ...] = ()


def calc_value_at_risk(
    candles: CandleMatrix,
    values: Mapping[str, Decimal],
    equity: Decimal,
    *,
    min_days: int,
) -> ValueAtRisk | None:
    """Calculate it from daily candles.

    A symbol with fewer than `min_days` daily returns is taken to move as the rest of the holdings together: leaving it
    out would count it as cash. The days are those on which every other symbol has a return.

    Args:
        candles: Closed daily candles of every symbol of `values`; a row of NaN where there are none.
        values: What is held today of each symbol, in quote.
        equity: What the losses are measured against, in quote.
        min_days: Days the distribution needs at least.

    Returns:
        None when nothing is held, equity is not above zero, fewer than `min_days` days have returns, or what has them
        is worth less than half of what is held.
    """
    total = sum(values.values(), Decimal(0))
    known = {symbol: value for symbol, value in values.items() if _count(candles, symbol) >= min_days}
    covered = sum(known.values(), Decimal(0))
    if equity <= 0 or covered <= 0 or 2 * covered < total:
        return None
    rows = [candles.row_of(symbol) for symbol in known]
    returns = to_daily_returns(candles.close[rows])
    complete = np.isfinite(returns).all(axis=0)
    if complete.sum() < min_days:
        return None
    weights = np.array([float(value / covered * total / equity) for value in known.values()])
    losses = -(weights @ returns[:, complete])
    worst = int(losses.argmax())
    tail_95, tail_99 = (calc_tail(losses, confidence) for confidence in CONFIDENCES)
    return ValueAtRisk(
        tail_95=tail_95,
        tail_99=tail_99,
        days=len(losses),
        worst_day=to_instant(candles.opened_at[1:][complete][worst]).date(),
        worst_loss=float(losses[worst]),
        assumed=tuple(symbol for symbol in values if symbol not in known),
    )


def calc_tail(losses: NDArray[np.float64], confidence: Decimal) -> TailLoss:
    """Calculate value at risk and expected shortfall of losses, shape (days,).

    Losses 1 to 100 at 0.95: the value at risk is 95, the expected shortfall (96 + 97 + 98 + 99 + 100) / 5 = 98.
    """
    tail = len(losses) * (1 - confidence)  # days, exact: a float would take 100 * (1 - 0.95) for more than 5
    whole = int(tail)
    worst_first = np.sort(losses)[::-1]
    beyond = worst_first[:whole].sum() + float(tail - whole) * worst_first[whole]
    return TailLoss(float(worst_first[whole]), float(beyond) / float(tail))


def _count(candles: CandleMatrix, symbol: str) -> int:
    row: FloatMatrix = candles.close[[candles.row_of(symbol)]]
    return int(np.isfinite(to_daily_returns(row)).sum())
