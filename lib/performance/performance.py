"""The performance of an account, or of all, over a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from lib.performance.growth import cut_points, to_daily_returns
from lib.performance.measures import Measures, measure
from lib.performance.period import Period
from lib.performance.trades import FilledOrder, TradeMeasures, measure_trades
from lib.portfolio.stores import MarketFacts
from lib.risk.drawdown import EquityPoint

LEAST_DAYS = 7
"""Fewer days are not extrapolated to a year: no volatility, Sharpe, Sortino or Calmar ratio."""
BENCHMARK = "BTC"
ZERO = Decimal(0)


@dataclass(frozen=True)
class Scope:
    """Whose performance.

    Attributes:
        account: Its name; empty: all accounts together.
        quote_asset: What amounts are in.
    """

    account: str
    quote_asset: str

    @property
    def name(self) -> str:
        """For people."""
        return self.account or "all accounts"

    @property
    def benchmark(self) -> str:
        """The market that it is compared with."""
        return f"{BENCHMARK}/{self.quote_asset}"


@dataclass(frozen=True)
class Stretch:
    """The part of a period that the equity is known of; amounts in quote.

    Attributes:
        began_at: The last snapshot before the period; the first one in it where there is none before.
        ended_at: The last snapshot in it.
        opening_equity: When it began.
        closing_equity: When it ended.
        net_flows: Deposits less withdrawals in between.
    """

    began_at: datetime
    ended_at: datetime
    opening_equity: Decimal
    closing_equity: Decimal
    net_flows: Decimal

    @property
    def profit(self) -> Decimal:
        """The change of equity that is no deposit or withdrawal; a loss is negative."""
        return self.closing_equity - self.opening_equity - self.net_flows


@dataclass(frozen=True)
class Performance:
    """How a scope did in a period.

    Attributes:
        scope: Whose.
        period: Which days.
        stretch: What is known of them; None with fewer than two snapshots.
        measures: Of the daily returns.
        known_days: Days with a snapshot and something invested.
        trades: Of the orders that were filled in the period.
        benchmark_return: What holding BTC gained over the same stretch, ratio; None where its price is not known.
    """

    scope: Scope
    period: Period
    stretch: Stretch | None
    measures: Measures
    known_days: int
    trades: TradeMeasures
    benchmark_return: float | None

    @property
    def lead(self) -> float | None:
        """How much more than holding BTC it gained, ratio; None where either is not known."""
        total = self.measures.total_return
        return None if total is None or self.benchmark_return is None else total - self.benchmark_return

    @property
    def is_enough(self) -> bool:
        """Whether there are days enough for what is extrapolated to a year."""
        return self.known_days >= LEAST_DAYS


def measure_performance(
    scope: Scope,
    period: Period,
    *,
    points: Sequence[EquityPoint],
    orders: Sequence[FilledOrder],
    market: MarketFacts,
) -> Performance:
    """Measure a scope's performance from its UTC days, deposits and withdrawals left out.

    Args:
        scope: Whose.
        period: Which days; snapshots of a day that is not over count.
        points: Its equity, at least from the last snapshot before the period on.
        orders: Any of its orders.
        market: For the benchmark's price.

    Raises:
        DatabaseUnavailable: The connection is refused or lost.
    """
    within = cut_points(points, period.start, period.end)
    daily = to_daily_returns(within)
    least = LEAST_DAYS if daily.known >= LEAST_DAYS else len(daily.returns) + 1
    measures = measure(daily.returns, least=least)
    stretch = _find_stretch(within)
    return Performance(
        scope=scope,
        period=period,
        stretch=stretch,
        measures=measures,
        known_days=daily.known,
        trades=measure_trades([order for order in orders if period.start <= order.at < period.end]),
        benchmark_return=_calc_benchmark(scope, stretch, market),
    )


def _find_stretch(points: Sequence[EquityPoint]) -> Stretch | None:
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    flows = sum((point.net_flow for point in points[1:]), ZERO)
    return Stretch(first.at, last.at, first.equity, last.equity, flows)


def _calc_benchmark(scope: Scope, stretch: Stretch | None, market: MarketFacts) -> float | None:
    if stretch is None:
        return None
    instants = [stretch.began_at, stretch.ended_at]
    prices = market.load_prices_before(scope.benchmark, instants)
    if any(at not in prices for at in instants):
        return None
    before, after = (prices[at].price for at in instants)
    return float(after / before - 1)


def follow_benchmark(points: Sequence[EquityPoint], prices: Sequence[Decimal | None]) -> list[float]:
    """Return what the equity would be, had all money been in the benchmark; NaN where no price was known so far.

    It is never below zero: more cannot be paid out than would have been there.

    Args:
        points: Of the account; it begins with their first equity, and their flows are paid in and out of it too.
        prices: Of the benchmark at each point.
    """
    held, last = float("nan"), None
    followed = []
    for place, (point, price) in enumerate(zip(points, prices, strict=True)):
        if place == 0:
            held = float(point.equity)
        else:
            held = max(0.0, held * (float(price / last) if price and last else 1.0) + float(point.net_flow))
        last = price or last
        followed.append(held if last is not None else float("nan"))
    return followed
