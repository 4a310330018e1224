"""Performance in words: every measure by its name, and why one is missing."""

from __future__ import annotations

from decimal import Decimal

from lib.performance.performance import BENCHMARK, LEAST_DAYS, Performance
from lib.performance.trend import TrendPoint
from lib.units import format_money

UNKNOWN = "not enough data"
NO_LOSS = "no loss in it"
FLAT = "no movement in it"
NEVER = "–"  # of a period that is always too short for it, and of no trade at all
PAID_IN = "paid in less paid out"
TREND_NAMES = (
    "until",
    "profit",
    "return",
    f"ahead of {BENCHMARK}",
    "volatility, a year",
    "Sharpe ratio",
    "max drawdown",
    "win rate",
)


def format_change(ratio: float | None) -> str:
    """Render a ratio as a signed percentage: ``+1.25 %``, ``0.00 %``."""
    return UNKNOWN if ratio is None else f"{_sign(100 * ratio)} %"


def format_gain(amount: Decimal, asset: str = "") -> str:
    """Render a profit or a loss with its sign: ``+12.50 USDT``."""
    rounded = round(amount, 2) + 0  # a zero has no sign
    return f"{'+' if rounded > 0 else ''}{format_money(rounded, asset).rstrip()}"


def describe_performance(one: Performance) -> list[tuple[str, str]]:
    """Return each measure's name and its value as people read it, growth first, then trades."""
    return [*_describe_growth(one), *_describe_trades(one)]


def describe_trend(one: TrendPoint) -> list[str]:
    """Return the texts of `TREND_NAMES`."""
    held, gained = one.benchmark_return, one.total_return
    return [
        str(one.last_day),
        format_gain(one.profit),
        NEVER if gained is None else format_change(gained),
        NEVER if gained is None or held is None else f"{_sign(100 * (gained - held))} points",
        NEVER if one.volatility is None else f"{100 * one.volatility:,.1f} %",
        NEVER if one.sharpe is None else f"{_tidy(one.sharpe):,.2f}",
        NEVER if one.max_drawdown is None else f"{100 * one.max_drawdown + 0.0:.2f} %",
        NEVER if one.win_rate is None else f"{100 * one.win_rate:.0f} %",
    ]


def _describe_growth(one: Performance) -> list[tuple[str, str]]:
    measures, stretch, asset = one.measures, one.stretch, one.scope.quote_asset
    rows = [
        ("total return", format_change(measures.total_return)),
        (f"holding {BENCHMARK}", format_change(one.benchmark_return)),
        (f"ahead of {BENCHMARK}", _describe_lead(one)),
        ("average daily return", format_change(measures.average_return)),
        ("volatility, a year", _explain(one, measures.volatility, "", percent=True)),
        ("Sharpe ratio", _explain(one, measures.sharpe, FLAT)),
        ("Sortino ratio", _explain(one, measures.sortino, NO_LOSS)),
        ("max drawdown", _describe_decline(one)),
        ("Calmar ratio", _explain(one, measures.calmar, NO_LOSS)),
    ]
    if stretch is None:
        return [(f"profit, {asset}", UNKNOWN), *rows]
    return [
        (f"profit, {asset}", format_gain(stretch.profit)),
        (f"{PAID_IN}, {asset}", format_gain(stretch.net_flows)),
        *rows,
    ]


def _describe_trades(one: Performance) -> list[tuple[str, str]]:
    trades, asset = one.trades, one.scope.quote_asset
    factor = trades.profit_factor
    return [
        ("orders filled", f"{trades.orders:,}"),
        ("trades closed", f"{trades.trades:,}"),
        (f"realized, {asset}", format_gain(trades.realized)),
        ("win rate", NEVER if trades.win_rate is None else f"{100 * trades.win_rate:.0f} %"),
        ("profit factor", f"{factor:.2f}" if factor is not None else NO_LOSS if trades.trades else NEVER),
        (f"fees, {asset}", format_money(trades.fees, "").rstrip()),
    ]


def _describe_decline(one: Performance) -> str:
    decline = one.measures.decline
    if decline is None:
        return UNKNOWN
    if not decline.depth:
        return "none"
    days = "day" if decline.length == 1 else "days"
    over = "" if decline.end is not None else ", not over"
    return f"{100 * decline.depth:.2f} % ({decline.length} {days}{over})"


def _describe_lead(one: Performance) -> str:
    lead = one.lead
    return UNKNOWN if lead is None else f"{_sign(100 * lead)} points"


def _explain(one: Performance, value: float | None, otherwise: str, *, percent: bool = False) -> str:
    if one.period.days < LEAST_DAYS:
        return NEVER
    if value is None:
        return otherwise if one.is_enough and otherwise else f"{UNKNOWN} ({one.known_days} of {LEAST_DAYS} days)"
    return f"{100 * value:,.1f} %" if percent else f"{_tidy(value):,.2f}"


def _sign(value: float) -> str:
    return f"{value:+,.2f}" if round(value, 2) else "0.00"


def _tidy(value: float) -> float:
    """Return the number without the sign of a zero: -0.001 is shown as 0.00."""
    return round(value, 2) + 0.0
