"""The parts of a report that are worked out of what was gathered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from lib.allocation.holdings import Asset, Portfolio
from lib.allocation.targets import TargetRules
from lib.performance.growth import to_growth
from lib.performance.performance import Scope, follow_benchmark
from lib.performance.trades import FilledOrder
from lib.portfolio.ledger import Realized
from lib.portfolio.state import AccountState
from lib.portfolio.stores import HeldPosition, MarketFacts
from lib.reporting.report import Curve, SymbolResult
from lib.risk.drawdown import EquityPoint

BENCHMARK_POINTS = 240  # of its line in the chart
ZERO = Decimal(0)


def value_of(one: HeldPosition) -> Decimal:
    """Return what a position is worth in quote; zero for one without a price."""
    return one.position.quantity * one.valuation.price if one.valuation else ZERO


def sum_symbols(
    orders: Iterable[FilledOrder], realized: Iterable[Realized], positions: Iterable[HeldPosition]
) -> tuple[SymbolResult, ...]:
    """Return what each symbol brought, the best first.

    Args:
        orders: Of the period, for their fees.
        realized: In the period.
        positions: Open ones.
    """
    results: dict[str, SymbolResult] = {}

    def add(symbol: str, realized: Decimal = ZERO, fees: Decimal = ZERO, unrealized: Decimal | None = None) -> None:
        one = results.get(symbol, SymbolResult(symbol, ZERO, ZERO, None))
        held = one.unrealized if unrealized is None else (one.unrealized or ZERO) + unrealized
        results[symbol] = SymbolResult(symbol, one.realized + realized, one.fees + fees, held)

    for order in orders:
        add(order.symbol, fees=order.fees)
    for one in realized:
        add(one.symbol, realized=one.amount)
    for position in positions:
        add(position.symbol, unrealized=position.valuation.unrealized_pnl_quote if position.valuation else None)
    return tuple(sorted(results.values(), key=lambda one: (-one.total, one.symbol)))


def join_states(states: Sequence[AccountState], targets: TargetRules) -> Portfolio:
    """Return all that the accounts hold, at its last prices; what has none counts nowhere, as in their equity."""
    assets = {name: Asset(name, ZERO, ZERO, None, None, is_quoted=False) for name in targets.universe}
    for holding in (holding for state in states for holding in state.holdings if holding.price is not None):
        name = holding.balance.asset
        held = assets.get(name, Asset(name, ZERO, ZERO, None, None, is_quoted=False))
        assets[name] = replace(
            held,
            quantity=held.quantity + holding.balance.total,
            free=held.free + holding.balance.free,
            price=holding.price.price if holding.price else None,
            priced_at=holding.price.at if holding.price else None,
        )
    return Portfolio(
        account="",
        quote_asset=states[0].quote_asset if states else "",
        cash_free=sum((state.cash_free for state in states), ZERO),
        cash_locked=sum((state.cash_locked for state in states), ZERO),
        assets=assets,
    )


def trace_curve(points: Sequence[EquityPoint], scope: Scope, market: MarketFacts) -> Curve:
    """Return what the charts draw of these points."""
    thin = _thin(points)
    prices = market.load_prices_before(scope.benchmark, [point.at for point in thin])
    benchmark = follow_benchmark(thin, [prices[point.at].price if point.at in prices else None for point in thin])
    return Curve(
        at=tuple(point.at for point in points),
        equity=tuple(float(point.equity) for point in points),
        growth=tuple(to_growth(points)),
        benchmark_at=tuple(point.at for point in thin),
        benchmark=tuple(benchmark),
        flows=tuple((point.at, float(point.net_flow)) for point in points[1:] if point.net_flow),
    )


def _thin(points: Sequence[EquityPoint]) -> list[EquityPoint]:
    """Return about `BENCHMARK_POINTS` of the points, the first and the last among them, with all of the flows."""
    step = max(1, len(points) // BENCHMARK_POINTS)
    thin, flow = [], ZERO
    for place, point in enumerate(points):
        flow += point.net_flow
        if place % step == 0 or place == len(points) - 1:
            thin.append(replace(point, net_flow=flow))
            flow = ZERO
    return thin
