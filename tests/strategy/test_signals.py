"""Signals from stored candles: what is said, sized, and not repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.indicators import DatabaseIndicators
from lib.errors import AllItemsFailed, SettingsError
from lib.indicators.refresh import update_indicators
from lib.results import Status
from lib.strategy.registry import STRATEGIES
from lib.strategy.sizing import Verdict
from lib.strategy.stores import Action, StrategyState
from tests.strategy.conftest import CANDLE, NOON, SOL, SYMBOLS, Desk, HandNews, item, wave
from tests.strategy.crooked import Crooked


def actions(desk: Desk) -> dict[str, Action]:
    return {key.symbol: signal.action for key, signal in desk.signals.load_signals("1h", CANDLE).items()}


def test_a_symbol_that_breaks_out_is_a_buy_and_the_others_hold(breaking_out: Desk) -> None:
    result = breaking_out.run()
    assert result.status is Status.OK
    assert actions(breaking_out) == {"SOL/USDT": Action.BUY, "ADA/USDT": Action.HOLD, "BNB/USDT": Action.HOLD}
    assert result.counts == {"new signals": 3, "buys": 1, "alerts": 1, "missed buys": 0}


def test_a_buy_has_levels_on_the_exchanges_steps_and_a_size_within_the_limits(breaking_out: Desk) -> None:
    breaking_out.run()
    signal = breaking_out.signals.load_signals("1h", CANDLE)[SOL]
    assert signal.price == 105
    assert signal.stop_loss is not None
    assert signal.take_profit is not None
    assert signal.stop_loss < 105 < signal.take_profit
    assert signal.stop_loss % Decimal("0.01") == 0
    # target 4 ATR and stop 2 ATR away
    assert (signal.take_profit - 105) / (105 - signal.stop_loss) == pytest.approx(Decimal(2), rel=Decimal("0.01"))
    (size,) = breaking_out.signals.load_sizes("1h", CANDLE)
    assert size.verdict is Verdict.POSITION  # 15 % of 10,000 is 1,500; the risk would allow 100 / 4.5
    assert size.quantity == Decimal("14.285")  # 1,500 / 105 = 14.2857, by steps of 0.001


def test_another_run_on_the_same_candle_repeats_nothing(breaking_out: Desk) -> None:
    breaking_out.run()
    stored = breaking_out.signals.load_signals("1h", CANDLE)
    breaking_out.clock.pass_time(minutes=15)
    result = breaking_out.run()
    assert result.status is Status.SKIPPED
    assert result.counts == {"new signals": 0, "buys": 1, "alerts": 0, "missed buys": 0}
    assert len(breaking_out.messages()) == 1
    assert breaking_out.signals.load_signals("1h", CANDLE) == stored
    assert "SOL/USDT" in result.render_tables()[0]


def test_a_run_on_the_same_candle_reads_no_candles_again(breaking_out: Desk) -> None:
    breaking_out.run()
    assert breaking_out.run(history=None).status is Status.SKIPPED


def test_the_next_candle_is_another_signal(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.clock.pass_time(hours=1)
    for symbol in SYMBOLS[1:]:
        breaking_out.store_closes(symbol, [99.0, 112.0], last=NOON)
    breaking_out.store_closes("SOL/USDT", [105.0, 106.0], last=NOON)
    result = breaking_out.run()
    assert {buy.symbol for buy in result.buys} == {"ADA/USDT", "BNB/USDT"}
    assert len(breaking_out.messages()) == 3


def test_a_symbol_whose_candle_is_late_is_no_failure_at_first(desk: Desk) -> None:
    desk.query("DELETE FROM candles WHERE symbol = 'SOL/USDT' AND opened_at = :at", at=CANDLE)
    result = desk.run()
    assert item(result, "SOL/USDT").status is Status.SKIPPED
    assert result.status is Status.OK


def test_a_symbol_without_the_candle_is_refused_with_the_newest_one(desk: Desk) -> None:
    desk.query("DELETE FROM candles WHERE symbol = 'SOL/USDT' AND opened_at > :at", at=NOON - timedelta(hours=4))
    desk.clock.pass_time(minutes=15)
    result = desk.run()
    assert result.status is Status.PARTIAL
    assert "expected the 1h candle of 2026-03-02 11:00 UTC" in item(result, "SOL/USDT").detail
    assert "2026-03-02 08:00" in item(result, "SOL/USDT").detail
    assert "SOL/USDT" not in actions(desk)


def test_a_candle_that_comes_late_is_decided_then(breaking_out: Desk) -> None:
    breaking_out.query("DELETE FROM candles WHERE symbol = 'SOL/USDT' AND opened_at = :at", at=CANDLE)
    assert breaking_out.run().counts["new signals"] == 2
    breaking_out.store_closes("SOL/USDT", [*wave(100, 399), 105.0])
    breaking_out.clock.pass_time(minutes=15)
    result = breaking_out.run()
    assert result.counts == {"new signals": 1, "buys": 1, "alerts": 1, "missed buys": 0}


def test_when_no_symbol_has_the_candle_the_task_fails(desk: Desk) -> None:
    desk.clock.pass_time(hours=3, minutes=5)
    with pytest.raises(AllItemsFailed, match="sync_market_data"):
        desk.run()


def test_a_halted_symbol_is_passed_over(breaking_out: Desk) -> None:
    breaking_out.list_symbol("SOL/USDT", "halted")
    result = breaking_out.run()
    assert item(result, "SOL/USDT").detail == "halted on the exchange"
    assert result.counts["buys"] == 0


def test_no_active_strategy_means_hold_and_a_warning(breaking_out: Desk) -> None:
    breaking_out.disable("breakout")
    result = breaking_out.run()
    assert result.status is Status.PARTIAL
    assert "none steps in" in item(result, "strategies").detail
    assert result.counts == {"new signals": 0, "buys": 0, "alerts": 0, "missed buys": 0}
    assert all(not line.opinions for line in result.symbols)
    assert "HOLD" in result.render_tables()[0]


def test_a_strategy_that_is_disabled_after_its_signal_says_nothing_more(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.disable("breakout")
    result = breaking_out.run()
    assert result.buys == ()
    assert all("no strategy" in line.freshness for line in result.symbols)


def test_a_pinned_strategy_gives_signals(breaking_out: Desk) -> None:
    breaking_out.strategies.change_state("breakout", StrategyState.PINNED, "operator", NOON)
    assert breaking_out.run().counts["buys"] == 1


def test_all_four_strategies_have_a_say_at_first(engine: Any, desk: Desk) -> None:
    desk.query("TRUNCATE strategies, strategy_parameters, strategy_changes, signals, signal_sizes CASCADE")
    result = desk.run()
    assert {opinion.strategy for opinion in result.symbols[0].opinions} == {
        "trend_following",
        "mean_reversion",
        "breakout",
        "index_momentum",
    }
    assert result.counts["new signals"] == 12


def test_a_strategy_whose_code_is_gone_is_reported(desk: Desk) -> None:
    desk.query("INSERT INTO strategies VALUES ('astrology', 'active', '', :now, 1)", now=NOON)
    desk.query(
        "INSERT INTO strategy_parameters (strategy, version, state, parameters, why, code_version, created_at)"
        " VALUES ('astrology', 1, 'active', '{}', '', '', :now)",
        now=NOON,
    )
    result = desk.run()
    assert result.status is Status.PARTIAL
    assert "code is gone" in item(result, "astrology").detail


def test_parameters_that_no_longer_fit_are_reported_and_the_strategy_says_nothing(breaking_out: Desk) -> None:
    breaking_out.query(
        """UPDATE strategy_parameters SET parameters = '{"channel": 5000}' WHERE strategy = 'breakout'"""
    )
    result = breaking_out.run()
    assert "channel" in item(result, "breakout").detail
    assert result.counts["buys"] == 0


def test_stored_parameters_are_used_and_named(breaking_out: Desk) -> None:
    breaking_out.query(
        """UPDATE strategy_parameters SET parameters = parameters || '{"channel": 60, "stop_atr": 1.0}'
        WHERE strategy = 'breakout'"""
    )
    breaking_out.run()
    assert "high of 60 candles before" in breaking_out.signals.load_signals("1h", CANDLE)[SOL].reasons[0]


def test_an_account_without_balances_is_told_and_sized_later(breaking_out: Desk) -> None:
    breaking_out.open_account("young", None)
    breaking_out.accounts = ("demo", "young")
    result = breaking_out.run()
    assert item(result, "young").detail.startswith("not sized: nothing is known yet of what it holds")
    assert result.status is Status.PARTIAL
    assert "young: not sized" in breaking_out.messages()[0].body
    assert "demo: buy" in breaking_out.messages()[0].body
    breaking_out.query(
        "INSERT INTO account_balances VALUES ('young', 'USDT', 500, 0, :now, :now)", now=breaking_out.clock.now()
    )
    breaking_out.clock.pass_time(minutes=15)
    assert {buy.account: buy.quantity for buy in breaking_out.run().buys} == {
        "demo": Decimal("14.285"),
        "young": Decimal("0.714"),
    }
    assert len(breaking_out.messages()) == 1


def test_a_size_that_is_refused_is_told_with_the_reason(breaking_out: Desk) -> None:
    breaking_out.query("UPDATE account_balances SET free = 10")
    result = breaking_out.run()
    assert "demo: no buy. " in breaking_out.messages()[0].body
    assert result.buys[0].quantity == 0
    assert breaking_out.signals.load_sizes("1h", CANDLE)[0].verdict is Verdict.BELOW_MIN_NOTIONAL


def test_a_symbol_without_filters_is_signalled_and_not_sized(breaking_out: Desk) -> None:
    breaking_out.query("DELETE FROM symbols WHERE name = 'SOL/USDT'")
    breaking_out.run()
    assert breaking_out.signals.load_sizes("1h", CANDLE)[0].verdict is Verdict.NO_FILTERS


def test_bad_news_hold_a_buy_back_when_they_count(breaking_out: Desk) -> None:
    breaking_out.news = HandNews({"SOL/USDT": -0.6})
    breaking_out.options = replace(breaking_out.options, min_sentiment=-0.2)
    breaking_out.run()
    signal = breaking_out.signals.load_signals("1h", CANDLE)[SOL]
    assert signal.action is Action.HOLD
    assert signal.reasons[0] == "the news' sentiment (-0.6) is below -0.2, so it is no buy"
    assert breaking_out.news.asked == [(frozenset({"SOL/USDT"}), NOON)]  # as of the candle's close, not of now


@pytest.mark.parametrize(
    ("sentiment", "reason"), [({"SOL/USDT": 0.3}, "the news' sentiment (0.3) is not below -0.2"), ({}, "no news")]
)
def test_other_news_let_a_buy_be(breaking_out: Desk, sentiment: dict[str, float], reason: str) -> None:
    breaking_out.news = HandNews(sentiment)
    breaking_out.options = replace(breaking_out.options, min_sentiment=-0.2)
    breaking_out.run()
    signal = breaking_out.signals.load_signals("1h", CANDLE)[SOL]
    assert signal.action is Action.BUY
    assert reason in signal.reasons[-1]


def test_news_are_not_asked_unless_they_count(breaking_out: Desk) -> None:
    breaking_out.news = HandNews({"SOL/USDT": -1.0})
    assert breaking_out.run().counts["buys"] == 1
    assert breaking_out.news.asked == []


def test_stored_indicators_give_the_same_signals_as_computed_ones(breaking_out: Desk) -> None:
    update_indicators(
        store=DatabaseIndicators(breaking_out.engine),
        clock=breaking_out.clock,
        symbols=SYMBOLS,
        timeframes=["1h"],
    )
    breaking_out.run()
    with_stored = breaking_out.signals.load_signals("1h", CANDLE)
    breaking_out.query("TRUNCATE signals, signal_sizes")
    breaking_out.run(indicators=None)
    computed = breaking_out.signals.load_signals("1h", CANDLE)
    assert [replace(one, alerted_at=None) for one in computed.values()] == [
        replace(one, alerted_at=None) for one in with_stored.values()
    ]


def test_short_and_flat_series_and_gaps_are_told_as_holds(desk: Desk) -> None:
    desk.query("DELETE FROM candles")
    desk.store_closes("SOL/USDT", [100.0] * 3)
    desk.store_closes("ADA/USDT", [5.0] * 400)
    desk.store_closes("BNB/USDT", [value if bar % 3 else float("nan") for bar, value in enumerate(wave(100, 402))][:-1])
    result = desk.run()
    assert set(actions(desk).values()) == {Action.HOLD}
    assert "not known yet" in desk.signals.load_signals("1h", CANDLE)[SOL].reasons[0]
    assert result.counts["new signals"] == len(actions(desk))


def test_symbols_whose_history_is_being_fetched_are_passed_over(breaking_out: Desk) -> None:
    breaking_out.query("DELETE FROM candles")
    breaking_out.clock.pass_time(minutes=10)
    result = breaking_out.run()
    assert result.status is Status.SKIPPED
    assert "none of the last" in item(result, "SOL/USDT").detail
    assert result.counts == {"new signals": 0, "buys": 0, "alerts": 0, "missed buys": 0}
    breaking_out.store_closes("SOL/USDT", [*wave(100, 399), 105.0])
    assert breaking_out.run().counts == {"new signals": 1, "buys": 1, "alerts": 1, "missed buys": 0}


def test_an_unknown_timeframe_fails(desk: Desk) -> None:
    with pytest.raises(SettingsError):
        desk.run(timeframe="7h")


def test_a_strategy_whose_code_fails_is_reported_and_stops_no_other(breaking_out: Desk) -> None:
    result = breaking_out.run(code={**STRATEGIES, "crooked": Crooked})
    assert "expected matrices of the shape" in item(result, "crooked").detail
    assert result.status is Status.PARTIAL
    assert result.counts["buys"] == 1


def test_when_every_strategy_fails_the_task_fails(breaking_out: Desk) -> None:
    breaking_out.disable("breakout")
    with pytest.raises(AllItemsFailed, match="crooked"):
        breaking_out.run(code={**STRATEGIES, "crooked": Crooked})
