"""What a backtest says in words and numbers: the same rows in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lib.research.backtest import Backtest
from lib.research.metrics import GrowthMetrics
from lib.research.rules import Sizing, TradingRules
from lib.research.trades import Trade
from lib.strategy.conditions import format_float
from lib.strategy.strategy import Strategy

UNKNOWN = "–"
TRADE_HEADS = ("symbol", "bought", "at", "sold", "at", "why", "profit", "%")


class Row(NamedTuple):
    """One measure, of the account and of having held; the latter is empty where it has none."""

    name: str
    account: str
    held: str = ""


def list_measures(done: Backtest) -> list[Row]:
    """Return the measures for people, with their units."""
    metrics, growth, held = done.metrics, done.metrics.growth, done.metrics.held
    return [
        Row("total return", show_ratio(growth.total_return), show_ratio(held.total_return)),
        Row("annual return", show_ratio(growth.annual_return), show_ratio(held.annual_return)),
        Row("volatility, annual", show_ratio(growth.volatility), show_ratio(held.volatility)),
        Row("Sharpe", show_number(growth.sharpe), show_number(held.sharpe)),
        Row("Sortino", show_number(growth.sortino), show_number(held.sortino)),
        Row("Calmar", show_number(growth.calmar), show_number(held.calmar)),
        Row("max drawdown", show_ratio(growth.max_drawdown), show_ratio(held.max_drawdown)),
        Row("its length", _show_days(growth), _show_days(held)),
        Row("trades", f"{metrics.trades:,}"),
        Row("win rate", show_ratio(metrics.win_rate)),
        Row("profit factor", show_number(metrics.profit_factor)),
        Row("average trade", show_ratio(metrics.average_return)),
        Row("fees", f"{metrics.fees:,.2f}"),
        Row("time in market", show_ratio(metrics.time_in_market)),
        Row("mean exposure", show_ratio(metrics.exposure)),
    ]


def list_trade_rows(trades: Sequence[Trade], instant: str = "%Y-%m-%d %H:%M") -> list[tuple[str, ...]]:
    """Return trades as rows under `TRADE_HEADS`, with instants in this format."""
    return [
        (
            one.symbol,
            f"{one.entered_at:{instant}}",
            format_float(one.entry_price),
            f"{one.exited_at:{instant}}",
            format_float(one.exit_price),
            one.reason,
            f"{one.profit:+,.2f}",
            f"{100 * one.return_ratio:+.2f}",
        )
        for one in trades
    ]


def describe_title(done: Backtest) -> str:
    """Return the strategy, what it traded, and when."""
    candles = done.candles
    first, last = (candles.opened_at[place].astype("datetime64[D]") for place in (0, -1))
    return f"{done.strategy.name} on {', '.join(candles.symbols)}, {candles.timeframe}, {first} to {last}"


def describe_parameters(strategy: Strategy) -> str:
    """Return the parameters in one line."""
    return ", ".join(f"{name} {value:g}" for name, value in strategy.model_dump().items())


def describe_rules(rules: TradingRules) -> str:
    """Return costs and sizes in one line."""
    risk, largest, reserve = rules.risk_per_trade_ratio, rules.max_position_ratio, rules.cash_reserve_ratio
    by_risk = (
        f"{_percent(risk)} of equity at risk a trade, {_percent(largest)} at most in a symbol, {_percent(reserve)} "
    )
    sizing = f"{by_risk}stays cash" if rules.sizing is Sizing.RISK else "an equal share of equity for each symbol"
    costs = f"fee {_percent(rules.fee_ratio)} and slippage {_percent(rules.slippage_ratio)} a side"
    return f"begins with {rules.cash:,.0f}; {costs}; {sizing}; signals fill at the next open"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:g} %"


def show_ratio(ratio: float | None) -> str:
    """Return a ratio as percent."""
    return UNKNOWN if ratio is None else f"{100 * ratio:.2f} %"


def show_number(number: float | None) -> str:
    """Return a number with two decimals."""
    return UNKNOWN if number is None else f"{number:,.2f}"


def _show_days(growth: GrowthMetrics) -> str:
    return f"{growth.drawdown_days:,.1f} days"
