"""What holds of every backtest: nothing from the future, no money from nowhere, the same answer each time."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.indicators.shelf import IndicatorShelf
from lib.market.symbols import SymbolStatus
from lib.portfolio.state import AccountState
from lib.portfolio.stores import Listing
from lib.research.engine import Simulation, simulate
from lib.research.rules import Sizing, TradingRules, rules_of
from lib.research.windows import cut_candles, cut_decisions
from lib.strategy.registry import STRATEGIES
from lib.strategy.sizing import SizingRules, calc_size
from lib.strategy.strategy import Strategy
from lib.units import EPOCH
from tests.research.samples import candles_of, decisions_on, random_decisions
from tests.strategy.test_strategies import parameters_of
from tests.strategy.worlds import make_walk

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)


def check_prefix(whole: Simulation, part: Simulation, end: int) -> None:
    """Up to the close of the last bar, at which a prefix sells, both are the same."""
    np.testing.assert_array_equal(whole.equity[: end - 1], part.equity[: end - 1])
    np.testing.assert_array_equal(whole.held_value[: end - 1], part.held_value[: end - 1])
    for name in ("row", "entry_bar", "exit_bar", "reason", "entry_price", "exit_price", "quantity", "profit"):
        all_of_it, some = (getattr(one.trades, name)[one.trades.exit_bar < end - 1] for one in (whole, part))
        np.testing.assert_array_equal(all_of_it, some, err_msg=name)


@every_strategy
@settings(max_examples=10)
@given(data=st.data(), seed=st.integers(0, 10**6), end=st.integers(350, 699), gaps=st.sampled_from([0.0, 0.1]))
def test_results_on_a_prefix_are_the_prefix_of_the_results(
    strategy: type[Strategy], data: st.DataObject, seed: int, end: int, gaps: float
) -> None:
    chosen = data.draw(parameters_of(strategy))
    candles = make_walk(3, 700, seed=seed, gaps=gaps, volatility=0.02)
    prefix = cut_candles(candles, 0, end)
    whole = simulate(candles, chosen.decide(IndicatorShelf(candles)), TradingRules())
    part = simulate(prefix, chosen.decide(IndicatorShelf(prefix)), TradingRules())
    check_prefix(whole, part, end)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    symbols=st.integers(1, 5),
    gaps=st.sampled_from([0.0, 0.2]),
    sizing=st.sampled_from(Sizing),
)
def test_the_account_ends_with_what_its_trades_earned(seed: int, symbols: int, gaps: float, sizing: Sizing) -> None:
    candles = make_walk(symbols, 400, seed=seed, gaps=gaps, volatility=0.02)
    decisions = random_decisions(candles, seed)
    rules = TradingRules(sizing=sizing)
    done = simulate(candles, decisions, rules)
    made = done.trades
    assert done.equity[-1] == pytest.approx(rules.cash + made.profit.sum())
    assert (done.equity > 0).all()
    cash = done.equity - done.held_value
    reserve = rules.cash_reserve_ratio if sizing is Sizing.RISK else 0
    bought = np.unique(made.entry_bar)
    assert (cash >= -1e-6).all()
    assert (cash[bought] >= reserve * done.equity[bought] * 0.9 - 1e-6).all()  # less what prices did inside the candle
    assert (made.entry_bar <= made.exit_bar).all()
    for row in range(symbols):
        mine = made.row == row
        order = np.argsort(made.entry_bar[mine])
        assert (made.entry_bar[mine][order][1:] >= made.exit_bar[mine][order][:-1]).all()
    again = simulate(candles, decisions, rules)
    assert again.equity.tobytes() == done.equity.tobytes()


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), end=st.integers(2, 300))
def test_a_portfolio_on_a_prefix_is_the_prefix_of_the_portfolio(seed: int, end: int) -> None:
    candles = make_walk(4, 300, seed=seed, gaps=0.1, volatility=0.02)
    decisions = random_decisions(candles, seed)
    whole = simulate(candles, decisions, TradingRules())
    part = simulate(cut_candles(candles, 0, end), cut_decisions(decisions, 0, end, range(4)), TradingRules())
    check_prefix(whole, part, end)


@settings(max_examples=30)
@given(
    cash=st.integers(100, 10**6),
    distance=st.floats(0.05, 50),
    risk=st.integers(1, 50),
    largest=st.integers(1, 100),
    reserve=st.integers(0, 95),
)
def test_an_entry_is_as_large_as_a_live_signal_would_be(
    cash: int, distance: float, risk: int, largest: int, reserve: int
) -> None:
    sizing = SizingRules(Decimal(risk) / 1000, Decimal(reserve) / 100, Decimal(largest) / 100, Decimal("0.001"))
    candles = candles_of([(100.0, 100.5, 99.99, 100.0)] * 3)
    rules = rules_of(sizing, cash=float(cash), slippage_ratio=0.0, min_notional=5.0)
    done = simulate(candles, decisions_on(candles, enter=[0], stop=distance), rules)
    state = AccountState("a", "USDT", EPOCH, cash_free=Decimal(cash), cash_locked=Decimal(0), market_values={})
    listing = Listing(SymbolStatus.TRADING, Decimal("1e-12"), None, Decimal(0), Decimal(5))
    live = calc_size(
        "S0/USDT", Decimal(100), Decimal(100) - Decimal(distance), state=state, listing=listing, rules=sizing
    )
    quantity = float(done.trades.quantity[0]) if len(done.trades) else 0.0
    assert quantity == pytest.approx(float(live.quantity), rel=1e-9, abs=1e-9)
