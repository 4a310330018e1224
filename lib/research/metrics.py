"""What a backtest amounts to, beside having bought and held.

Volatility, Sharpe and Sortino come from the returns of UTC days, a year has 365; the formulas are those of
`lib.performance.measures`, which accounts are measured by as well. Drawdown is that of the equity at every close, which
sees more than the ends of days. A measure that is not defined is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.market.matrix import CandleMatrix
from lib.market.timeframes import width_of
from lib.performance.measures import (
    calc_sharpe,
    calc_sortino,
    calc_volatility,
    calc_yearly_growth,
    find_decline,
)
from lib.research.engine import Simulation
from lib.research.rules import TradingRules
from lib.research.trades import Floats, Trades
from lib.research.windows import find_day_ends

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class GrowthMetrics:
    """How an equity curve grew.

    Attributes:
        total_return: From the beginning, ratio.
        annual_return: Compounded, as if a year went on like this.
        volatility: A year's.
        sharpe: A year's.
        sortino: A year's.
        calmar: Annual return by the depth of the drawdown.
        max_drawdown: At or below zero, ratio.
        drawdown_days: From its peak until equity was back there, or until the end.
    """

    total_return: float
    annual_return: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float
    drawdown_days: float


@dataclass(frozen=True)
class BacktestMetrics:
    """What the account and its trades amount to.

    Attributes:
        days: Of the window.
        growth: Of the account.
        held: Of buying all symbols in equal parts at the first open, with the same costs, and selling them at the end.
        trades: How many.
        win_rate: Share of trades with a profit after fees.
        profit_factor: Gains by losses.
        average_return: Of a trade, ratio of what was paid.
        fees: Of all trades, in quote.
        time_in_market: Share of closes at which something was held.
        exposure: Mean share of equity that was held.
    """

    days: float
    growth: GrowthMetrics
    held: GrowthMetrics
    trades: int
    win_rate: float | None
    profit_factor: float | None
    average_return: float | None
    fees: float
    time_in_market: float
    exposure: float


def calc_metrics(candles: CandleMatrix, simulation: Simulation, rules: TradingRules) -> BacktestMetrics:
    """Return the metrics of a simulation of these candles."""
    trades, count = simulation.trades, len(simulation.trades)
    return BacktestMetrics(
        days=len(candles.opened_at) * width_of(candles.timeframe).total_seconds() / DAY_SECONDS,
        growth=calc_growth(candles, simulation.equity, rules.cash),
        held=calc_growth(candles, calc_held_equity(candles, rules), rules.cash),
        trades=count,
        win_rate=float((trades.profit > 0).mean()) if count else None,
        profit_factor=_calc_profit_factor(trades),
        average_return=float(trades.return_ratio.mean()) if count else None,
        fees=float(trades.fees.sum()),
        time_in_market=float((simulation.held_value > 0).mean()),
        exposure=float((simulation.held_value / simulation.equity).mean()),
    )


def calc_growth(candles: CandleMatrix, equity: Floats, cash: float) -> GrowthMetrics:
    """Return how an account grew that began with so much cash.

    Args:
        candles: Whose closes the equity is at.
        equity: Above zero, shape (bars,).
        cash: In quote.
    """
    daily = to_returns(equity[find_day_ends(candles.opened_at)], cash)
    decline = find_decline(to_returns(equity, cash))
    annual = calc_yearly_growth(daily)
    return GrowthMetrics(
        total_return=float(equity[-1] / cash - 1),
        annual_return=annual,
        volatility=calc_volatility(daily),
        sharpe=calc_sharpe(daily),
        sortino=calc_sortino(daily),
        calmar=annual / -decline.depth if annual is not None and decline.depth < 0 else None,
        max_drawdown=decline.depth,
        drawdown_days=decline.length * width_of(candles.timeframe).total_seconds() / DAY_SECONDS,
    )


def to_returns(equity: Floats, cash: float) -> Floats:
    """Return the returns of an equity curve, the first one from the cash at the beginning.

    >>> to_returns(np.array([110.0, 99.0]), 100.0).round(6)
    array([ 0.1, -0.1])
    """
    returns: Floats = equity / np.concatenate(([cash], equity[:-1])) - 1
    return returns


def calc_held_equity(candles: CandleMatrix, rules: TradingRules) -> Floats:
    """Return the equity at each close of buying equal parts at each symbol's first open, sold at the last close.

    A symbol that has no candle yet is cash until then. Fees and slippage are those of the rules.
    """
    part = rules.cash / len(candles.symbols)
    total = np.zeros(len(candles.opened_at))
    costs = (1 - rules.slippage_ratio) * (1 - rules.fee_ratio)
    for opens, closes in zip(candles.open, candles.close, strict=True):
        bars = np.flatnonzero(np.isfinite(closes))
        if not len(bars):
            total += part
            continue
        quantity = part / (opens[bars[0]] * (1 + rules.slippage_ratio) * (1 + rules.fee_ratio))
        newest = np.maximum.accumulate(np.where(np.isfinite(closes), np.arange(len(closes)), 0))
        values = np.where(np.arange(len(closes)) < bars[0], part, quantity * closes[newest])
        values[-1] *= costs
        total += values
    return total


def _calc_profit_factor(trades: Trades) -> float | None:
    losses = -trades.profit[trades.profit < 0].sum()
    return float(trades.profit[trades.profit > 0].sum() / losses) if losses > 0 else None
