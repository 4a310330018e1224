"""One backtest from candles to metrics, and what it says of data that tells nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from lib.errors import DataError, OperatorError
from lib.indicators.work import to_aware
from lib.research.backtest import backtest
from lib.research.rules import TradingRules
from lib.research.trades import ExitReason
from lib.strategy.registry import STRATEGIES
from tests.research.test_look_ahead import Prophet, Unknowing
from tests.strategy.worlds import FIRST, cut, make_candles, make_walk

BREAKOUT = STRATEGIES["breakout"]()
START = to_aware(FIRST) + timedelta(hours=500)
RULES = TradingRules()


def test_a_window_begins_where_it_is_asked_for_and_trades_only_there() -> None:
    candles = make_walk(3, 1500)
    done = backtest(BREAKOUT, candles, ["S1/USDT"], START, RULES)
    assert to_aware(done.candles.opened_at[0]) == START
    assert done.candles.symbols == ("S1/USDT",)
    assert done.entries > 10
    assert len(done.simulation.equity) == len(done.held_equity) == 1000
    assert done.metrics.days == pytest.approx(1000 / 24)
    assert done.metrics.trades == len(done.simulation.trades)
    assert done.why_no_trade is None
    assert done.notes == ()


def test_what_was_signalled_before_the_window_changes_nothing_of_it() -> None:
    candles = make_walk(1, 1500)
    later = backtest(BREAKOUT, cut(candles, 500 - BREAKOUT.lookback, 1500), ["S0/USDT"], START, RULES)
    whole = backtest(BREAKOUT, candles, ["S0/USDT"], START, RULES)
    np.testing.assert_allclose(later.simulation.equity, whole.simulation.equity, rtol=1e-6)


def test_a_strategy_of_the_whole_market_reads_symbols_that_are_not_traded() -> None:
    candles = make_walk(5, 1500)
    momentum = STRATEGIES["index_momentum"]()
    with_market = backtest(momentum, candles, ["S0/USDT"], START, RULES)
    alone = backtest(momentum, make_walk(1, 1500), ["S0/USDT"], START, RULES)
    assert len(with_market.simulation.trades) > 3
    assert with_market.entries != alone.entries


def test_several_symbols_share_one_account() -> None:
    done = backtest(BREAKOUT, make_walk(4, 1500), ["S3/USDT", "S0/USDT"], START, RULES)
    assert done.candles.symbols == ("S3/USDT", "S0/USDT")
    assert set(done.simulation.trades.row) == {0, 1}
    assert done.simulation.equity[-1] == pytest.approx(10_000 + done.simulation.trades.profit.sum())


def test_the_same_candles_and_rules_give_the_same_answer_to_the_bit() -> None:
    candles, symbols = make_walk(4, 1500, gaps=0.05), ["S3/USDT", "S0/USDT", "S1/USDT"]
    once, again = (backtest(BREAKOUT, candles, symbols, START, RULES) for _ in range(2))
    assert once.simulation.equity.tobytes() == again.simulation.equity.tobytes()
    assert once.metrics == again.metrics
    for name, column in vars(once.simulation.trades).items():
        assert column.tobytes() == getattr(again.simulation.trades, name).tobytes()


def test_a_history_that_begins_late_moves_the_window_and_is_said() -> None:
    candles = make_walk(1, 1500)
    done = backtest(BREAKOUT, candles, ["S0/USDT"], to_aware(FIRST), RULES)
    assert to_aware(done.candles.opened_at[0]) == to_aware(FIRST) + BREAKOUT.lookback * timedelta(hours=1)
    assert done.notes[0].startswith("begins 2026-01-15")


def test_missing_and_silent_candles_are_said() -> None:
    candles = make_walk(2, 1500, gaps=0.05)
    volume = np.where(np.isnan(candles.close), np.nan, 1.0)
    volume[1, -40:] = 0 * volume[1, -40:]
    silent = int((volume[1] == 0).sum())
    done = backtest(BREAKOUT, replace(candles, volume=volume), ["S1/USDT"], START, RULES)
    missing = int(np.isnan(candles.close[1, 500:]).sum())
    assert f"S1/USDT: {missing} candles missing of 1,000; orders waited for the next one" in done.notes
    assert f"S1/USDT: nobody traded in {silent} candles; fills there are fiction" in done.notes


def test_too_little_history_is_refused_with_the_number_that_is_needed() -> None:
    needed = BREAKOUT.lookback + 50
    with pytest.raises(DataError, match=rf"S0/USDT 1h: expected at least {needed} candles .* was {needed - 1}"):
        backtest(BREAKOUT, make_walk(1, needed - 1), ["S0/USDT"], to_aware(FIRST), RULES)
    assert backtest(BREAKOUT, make_walk(1, needed), ["S0/USDT"], to_aware(FIRST), RULES)
    with pytest.raises(DataError, match=r"expected at least .* was 0"):
        empty = make_candles(np.vstack([make_walk(1, 800).close, np.full((1, 800), np.nan)]))
        backtest(BREAKOUT, empty, ["S1/USDT"], to_aware(FIRST), RULES)
    with pytest.raises(DataError, match="window of at least 50 candles, was 10"):
        backtest(BREAKOUT, make_walk(1, 1500), ["S0/USDT"], to_aware(FIRST) + timedelta(hours=1490), RULES)


def test_a_price_that_never_moves_is_refused() -> None:
    with pytest.raises(DataError, match="S0/USDT 1h: the price is 5 at all 900 closes"):
        backtest(BREAKOUT, make_candles(np.full((1, 900), 5.0)), ["S0/USDT"], START, RULES)


def test_no_trade_at_all_is_said_with_the_reason() -> None:
    candles = make_walk(1, 1500)
    silent = backtest(Unknowing(), candles, ["S0/USDT"], START, RULES)
    assert silent.why_no_trade is not None
    assert "signals no entry in this window" in silent.why_no_trade
    assert silent.metrics.growth.total_return == 0
    poor = backtest(BREAKOUT, candles, ["S0/USDT"], START, replace(RULES, cash=10.0))
    assert poor.why_no_trade is not None
    assert f"of {poor.entries} entries {poor.entries} were below the least notional (5)" in poor.why_no_trade


def test_a_strategy_that_looks_ahead_is_not_tested() -> None:
    with pytest.raises(OperatorError, match="looks ahead"):
        backtest(Prophet(), make_walk(1, 1500), ["S0/USDT"], START, RULES)


def test_progress_is_shown() -> None:
    told: list[tuple[int, int, str]] = []
    backtest(BREAKOUT, make_walk(1, 1500), ["S0/USDT"], START, RULES, show=lambda *step: told.append(step))
    assert len(told) > 5
    assert all(done < total for done, total, _ in told)


def test_bands_and_averages_have_exits_of_every_kind() -> None:
    reasons = {
        reason
        for strategy in STRATEGIES.values()
        for reason in backtest(strategy(), make_walk(2, 4000), ["S0/USDT"], START, RULES).simulation.trades.reason
    }
    assert reasons >= {ExitReason.SIGNAL, ExitReason.STOP, ExitReason.TARGET}
