"""Signals from stored candles: what is said, sized, told, and not repeated."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from signal import SIGKILL
from typing import Any, ClassVar

import pytest
from sqlalchemy import Engine

from lib.adapters.database.indicators import DatabaseIndicators
from lib.adapters.database.signals import DatabaseSignals
from lib.errors import AllItemsFailed, DatabaseUnavailable, SettingsError
from lib.indicators.refresh import update_indicators
from lib.notifications.messages import Message
from lib.results import Item, Status
from lib.strategy.breakout import Breakout
from lib.strategy.registry import STRATEGIES
from lib.strategy.signal_report import SignalsResult
from lib.strategy.sizing import Verdict
from lib.strategy.stores import Action, Signal, SignalKey, StrategyState
from tests.strategy.conftest import NOON, SYMBOLS, Desk, HandNews, wave
from tests.strategy.crooked import Crooked

CANDLE = NOON - timedelta(hours=1)
SOL = SignalKey("1h", CANDLE, "breakout", "SOL/USDT")


class Keeping(DatabaseSignals):
    """Keeps the messages that are told, with their files."""

    def __init__(self, engine: Engine, recorded: list[Message]) -> None:
        super().__init__(engine)
        self._recorded = recorded

    def tell(self, message: Message, keys: Collection[SignalKey], at: datetime) -> bool:
        self._recorded.append(message)
        return super().tell(message, keys, at)


class Twin(Breakout):
    """Says what breakout says."""

    name: ClassVar[str] = "twin"


def item(result: SignalsResult, name: str) -> Item:
    (found,) = [one for one in result.items if one.name == name]
    return found


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


def test_the_alert_says_what_a_person_needs_to_trade_by_hand(breaking_out: Desk) -> None:
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert message.title == "🚀 BUY SOL/USDT: breakout 1h"
    assert (message.type, message.severity) == ("signal", "info")
    for part in (
        "Close (105) is above high of 20 candles before + 0.25 ATR",
        "Price 105 (close of the 1h candle of 2026-03-02 11:00 UTC)",
        "stop loss ",
        "take profit ",
        "confidence 0.",
        "demo: buy 14.285 SOL for 1,499.92 USDT",
        "What to do: ",
        "Valid until 2026-03-02 13:00 UTC",
    ):
        assert part in message.body


def test_the_alert_carries_a_picture(breaking_out: Desk) -> None:
    recorded: list[Message] = []

    breaking_out.run(signals=Keeping(breaking_out.engine, recorded))
    (picture,) = recorded[0].attachments
    assert (picture.name, picture.media_type) == ("SOL-USDT-breakout.png", "image/png")
    assert picture.content.startswith(b"\x89PNG")


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


def kill_before_telling(desk: Desk) -> None:
    """Run in a process of its own that is killed between storing and telling."""

    class Killed(DatabaseSignals):
        def tell(self, message: Message, keys: Collection[SignalKey], at: datetime) -> bool:
            os.kill(os.getpid(), SIGKILL)
            return super().tell(message, keys, at)

    desk.engine.dispose()  # no connection is shared with the child
    child = multiprocessing.get_context("fork").Process(target=lambda: desk.run(signals=Killed(desk.engine)))
    child.start()
    child.join(60)
    assert child.exitcode == -SIGKILL


def test_whoever_is_killed_before_telling_tells_it_at_the_next_run(breaking_out: Desk) -> None:
    kill_before_telling(breaking_out)
    stored = breaking_out.signals.load_signals("1h", CANDLE)[SOL]
    breaking_out.clock.pass_time(minutes=5)
    assert breaking_out.run().counts["alerts"] == 1
    told = breaking_out.signals.load_signals("1h", CANDLE)[SOL]
    assert replace(told, alerted_at=None) == stored
    assert len(breaking_out.messages()) == 1


def test_a_buy_that_was_stored_and_not_told_before_the_hour_turned_is_told_as_missed(breaking_out: Desk) -> None:
    kill_before_telling(breaking_out)
    assert breaking_out.messages() == []
    breaking_out.clock.pass_time(hours=1)
    for symbol in SYMBOLS:
        breaking_out.store_closes(symbol, [100.0, 100.0], last=NOON)
    result = breaking_out.run()
    assert (result.status, result.counts["buys"], result.counts["missed buys"]) == (Status.PARTIAL, 0, 1)
    (message,) = breaking_out.messages()
    assert message.title == "🚀 Missed: BUY of SOL/USDT (breakout 1h)"
    assert "began at the candle of 2026-03-02 11:00 UTC (close 105), which closed 60 min ago" in message.body
    assert item(result, "SOL/USDT breakout").detail in message.body
    assert breaking_out.run().counts["missed buys"] == 0
    assert len(breaking_out.messages()) == 1


def test_whoever_is_killed_after_telling_does_not_tell_it_again(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.query("UPDATE signals SET alerted_at = NULL")
    assert breaking_out.run().counts["alerts"] == 0
    assert len(breaking_out.messages()) == 1


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


def test_each_buy_names_the_others_of_its_candle(breaking_out: Desk) -> None:
    breaking_out.store_closes("ADA/USDT", [*wave(100, 399), 106.0])
    breaking_out.run()
    first, second = breaking_out.messages()
    assert "BUY at the same candle: SOL/USDT (breakout)" in first.body + second.body
    assert "BUY at the same candle: ADA/USDT (breakout)" in first.body + second.body


def test_the_tables_show_every_symbol_with_its_signal_and_reason(breaking_out: Desk) -> None:
    buys, symbols = breaking_out.run().render_tables()
    assert "| SOL/USDT | breakout" in buys
    assert "14.285" in buys
    assert "🚀 BUY: close (105) is above high of 20 candles before" in symbols
    assert "hold: close (101) is not above high of 20 candles before" in symbols
    assert "03-02 11:00" in symbols


def test_an_alert_whose_picture_cannot_be_drawn_goes_without_it_and_says_so(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.query("UPDATE signals SET alerted_at = NULL")  # a run was killed before it told
    breaking_out.query("DELETE FROM notifications")
    breaking_out.query("DELETE FROM candles")  # and what the picture shows is gone
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert message.body.endswith("(The chart of SOL/USDT could not be drawn: ValueError.)")


def test_a_strategy_whose_code_fails_is_reported_and_stops_no_other(breaking_out: Desk) -> None:
    result = breaking_out.run(code={**STRATEGIES, "crooked": Crooked})
    assert "expected matrices of the shape" in item(result, "crooked").detail
    assert result.status is Status.PARTIAL
    assert result.counts["buys"] == 1


def test_when_every_strategy_fails_the_task_fails(breaking_out: Desk) -> None:
    breaking_out.disable("breakout")
    with pytest.raises(AllItemsFailed, match="crooked"):
        breaking_out.run(code={**STRATEGIES, "crooked": Crooked})


def let_all_break_out(desk: Desk, symbols: int) -> None:
    """Let every symbol break out, the last one most of all."""
    desk.symbols = tuple(f"S{number}/USDT" for number in range(symbols))
    for number, symbol in enumerate(desk.symbols):
        desk.list_symbol(symbol)
        desk.store_closes(symbol, [*wave(100, 399), 105.0 + number / 10])


def test_when_the_whole_market_breaks_out_one_message_names_all_with_their_sizes(desk: Desk) -> None:
    let_all_break_out(desk, 13)
    desk.open_account("young", None)
    desk.accounts = ("demo", "young")
    recorded: list[Message] = []
    result = desk.run(signals=Keeping(desk.engine, recorded))
    assert result.counts == {"new signals": 13, "buys": 13, "alerts": 1, "missed buys": 0}
    (message,) = recorded
    assert message.title == "🚀 BUY 13 symbols: breakout 1h"
    first, second, *lines = message.body.splitlines()
    assert first.startswith("S12/USDT: close (106.2) is above high of 20 candles before")
    assert second == "Prices are closes of the 1h candle of 2026-03-02 11:00 UTC."
    assert [line.split()[0] for line in lines[:13]] == [f"S{number}/USDT" for number in reversed(range(13))]
    assert lines[12].startswith("S0/USDT 105, stop ")
    assert lines[12].endswith(": demo 14.285")
    for part in ("young: not sized", "as if it were the only one", "Valid until 2026-03-02 13:00 UTC", "3 strongest"):
        assert part in message.body
    assert [one.name for one in message.attachments] == [f"S{number}-USDT-breakout.png" for number in (12, 11, 10)]
    assert desk.run().counts["alerts"] == 0


def test_a_dozen_buys_of_a_strategy_have_a_message_each(desk: Desk) -> None:
    let_all_break_out(desk, 12)
    assert desk.run().counts["alerts"] == 12
    assert not any("No chart" in message.body for message in desk.messages())


def test_the_strongest_of_many_messages_have_pictures(desk: Desk) -> None:
    let_all_break_out(desk, 7)
    assert desk.run(code={**STRATEGIES, "twin": Twin}).counts["alerts"] == 14
    without = [message for message in desk.messages() if "(No chart: the 12 strongest have one.)" in message.body]
    assert {message.title for message in without} == {"🚀 BUY S0/USDT: breakout 1h", "🚀 BUY S0/USDT: twin 1h"}


@pytest.fixture
def market(desk: Desk) -> Desk:
    """Ten symbols that fell, without the candle that has just closed; index momentum alone is active."""
    desk.symbols = tuple(f"S{number}/USDT" for number in range(10))
    fall = [200 - bar / 4 for bar in range(398)]
    for symbol in desk.symbols:
        desk.store_closes(symbol, [*fall, 100.0], last=CANDLE - timedelta(hours=1))
    desk.disable("breakout")
    desk.strategies.change_state("index_momentum", StrategyState.ACTIVE, "operator", NOON - timedelta(days=30))
    return desk


@pytest.mark.parametrize("minutes", [0, 15])
def test_one_symbol_is_not_the_market(market: Desk, minutes: int) -> None:
    market.store_closes("S0/USDT", [100.0, 108.0])
    market.clock.pass_time(minutes=minutes)
    result = market.run()
    assert result.counts == {"new signals": 0, "buys": 0, "alerts": 0, "missed buys": 0}
    assert item(result, "index_momentum").detail.startswith("1 of 10 candles there")
    for symbol in market.symbols[1:]:
        market.store_closes(symbol, [100.0, 99.0])
    assert market.run().counts == {"new signals": 10, "buys": 0, "alerts": 0, "missed buys": 0}


def test_the_whole_market_is_waited_for_while_candles_settle(market: Desk) -> None:
    for symbol in market.symbols[1:]:
        market.store_closes(symbol, [100.0, 150.0])
    result = market.run()
    assert item(result, "index_momentum").status is Status.SKIPPED
    assert "9 of 10 candles there; it reads the whole market, and waits for S0/USDT" in (
        item(result, "index_momentum").detail
    )
    assert market.messages() == []


def test_a_dead_symbol_does_not_silence_a_strategy_of_the_whole_market(market: Desk) -> None:
    for symbol in market.symbols[1:]:
        market.store_closes(symbol, [100.0, 150.0])
    market.clock.pass_time(minutes=15)
    assert market.run().counts["buys"] == 9


@pytest.mark.parametrize("fate", ["behind", "halted"])
def test_a_symbol_that_was_away_before_is_not_waited_for(market: Desk, fate: str) -> None:
    if fate == "behind":
        market.query("DELETE FROM candles WHERE symbol = 'S0/USDT' AND opened_at > :at", at=NOON - timedelta(hours=9))
    else:
        market.list_symbol("S0/USDT", "halted")
    for symbol in market.symbols[1:]:
        market.store_closes(symbol, [100.0, 150.0])
    assert market.run().counts["buys"] == 9


def test_a_market_whose_history_is_being_fetched_is_not_one_symbol(market: Desk) -> None:
    market.query("DELETE FROM candles WHERE symbol <> 'S0/USDT'")
    market.store_closes("S0/USDT", [100.0, 150.0])
    result = market.run()
    assert result.counts["new signals"] == 0
    assert "needs 2/3 of it" in item(result, "index_momentum").detail


def break_out_in_an_outage(desk: Desk) -> None:
    """Let SOL/USDT break out at the candle of 12:00 while no run comes; it is 15:00 then."""
    desk.run()
    desk.store_closes("SOL/USDT", [100.0, 106.0, 107.0, 107.5], last=NOON + timedelta(hours=2))
    for symbol in SYMBOLS[1:]:
        desk.store_closes(symbol, [100.0] * 4, last=NOON + timedelta(hours=2))
    desk.clock.pass_time(hours=3)


def test_an_entry_that_began_in_an_outage_is_told_as_missed_and_is_no_buy(desk: Desk) -> None:
    break_out_in_an_outage(desk)
    result = desk.run()
    assert result.status is Status.PARTIAL
    assert result.counts == {"new signals": 3, "buys": 0, "alerts": 0, "missed buys": 1}
    missed = item(result, "SOL/USDT breakout")
    assert missed.status is Status.PARTIAL
    assert "began at the candle of 2026-03-02 12:00 UTC (close 106), which closed 120 min ago" in missed.detail
    assert "no run decided on it before the next candle closed" in missed.detail
    (message,) = desk.messages()
    assert (message.title, message.severity) == ("🚀 Missed: BUY of SOL/USDT (breakout 1h)", "info")
    assert missed.detail in message.body
    assert desk.signals.load_signals("1h", NOON) == {}


def test_a_missed_entry_is_told_once(desk: Desk) -> None:
    break_out_in_an_outage(desk)

    class Refusing(DatabaseSignals):
        def save_signals(self, signals: Collection[Signal]) -> None:
            raise DatabaseUnavailable("gone")

    with pytest.raises(DatabaseUnavailable):
        desk.run(signals=Refusing(desk.engine))
    assert desk.run().counts["missed buys"] == 1  # nothing was stored, so it is looked for again
    assert desk.run().counts["missed buys"] == 0
    assert len(desk.messages()) == 1


def test_entries_are_missed_by_design_where_candles_close_more_often_than_runs_come(desk: Desk) -> None:
    desk.options = replace(desk.options, every=timedelta(hours=3))
    break_out_in_an_outage(desk)
    result = desk.run()
    assert result.status is Status.OK
    assert item(result, "SOL/USDT breakout").status is Status.SKIPPED
    assert "runs come every 180 min" in item(result, "SOL/USDT breakout").detail
    assert "FKS_SIGNAL_TIMEFRAME" in desk.messages()[0].body


def test_an_entry_further_back_than_twelve_candles_is_not_looked_for(desk: Desk) -> None:
    desk.run()
    for symbol in SYMBOLS:
        after = 106.0 if symbol == "SOL/USDT" else 100.0
        desk.store_closes(symbol, [100.0, *[after] * 14], last=NOON + timedelta(hours=13))
    desk.clock.pass_time(hours=14)
    assert desk.run().counts["missed buys"] == 0


def test_an_entry_at_the_oldest_of_twelve_candles_is_found(desk: Desk) -> None:
    desk.run()
    for symbol in SYMBOLS:
        after = 106.0 if symbol == "SOL/USDT" else 100.0
        desk.store_closes(symbol, [100.0, 100.0, *[after] * 13], last=NOON + timedelta(hours=13))
    desk.clock.pass_time(hours=14)
    assert desk.run().counts["missed buys"] == 1


@pytest.mark.parametrize("newcomer", ["symbol", "strategy"])
def test_who_was_not_asked_then_has_missed_nothing(desk: Desk, newcomer: str) -> None:
    if newcomer == "symbol":
        desk.symbols = SYMBOLS[1:]
        break_out_in_an_outage(desk)
        desk.symbols = SYMBOLS
    else:
        break_out_in_an_outage(desk)
        desk.disable("breakout")
        desk.strategies.change_state("breakout", StrategyState.ACTIVE, "operator", desk.clock.now())
    assert desk.run().counts["missed buys"] == 0


def test_a_bar_with_too_few_symbols_is_no_market_that_was_missed(market: Desk) -> None:
    for symbol in market.symbols:
        market.store_closes(symbol, [100.0, 99.0])
    market.run()
    thin, whole = NOON, NOON + timedelta(hours=1)
    market.store_closes("S0/USDT", [99.0, 150.0], last=thin)
    for symbol in market.symbols:
        market.store_closes(symbol, [60.0], last=whole)
    market.clock.pass_time(hours=2)
    assert market.run().counts["missed buys"] == 0
    assert market.messages() == []


def test_the_table_of_many_symbols_names_every_one_buys_and_silent_ones_first(desk: Desk) -> None:
    desk.symbols = tuple(f"S{number}/USDT" for number in range(60))
    for symbol in desk.symbols[:-1]:
        desk.store_closes(symbol, wave(100, 150))
    desk.store_closes("S58/USDT", [*wave(100, 149), 106.0])
    _, symbols = desk.run().render_tables()
    table, _, more = symbols.partition("\n\n")
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:5]] == ["S58/USDT", "S59/USDT", "S0/USDT"]
    assert len(table.splitlines()) == 2 + 50
    assert more.startswith("And 10 on hold: S48/USDT (101), ")
    for symbol in desk.symbols:
        assert f" {symbol} " in symbols, symbol


def test_symbols_that_are_silent_all_have_a_row_with_the_reason(desk: Desk) -> None:
    desk.symbols = tuple(f"S{number}/USDT" for number in range(60))
    desk.query("DELETE FROM candles")
    (symbols,) = desk.run().render_tables()
    assert sum("none of the last" in line for line in symbols.splitlines()) == 60


def test_buys_beyond_the_rows_of_the_table_are_named_with_their_sizes(breaking_out: Desk) -> None:
    (line,) = breaking_out.run().buys
    lines = tuple(line.model_copy(update={"symbol": f"S{number}/USDT"}) for number in range(52))
    buys, _ = breaking_out.run().model_copy(update={"buys": lines}).render_tables()
    assert buys.endswith("And BUY: S50/USDT breakout demo: 14.285; S51/USDT breakout demo: 14.285")


def test_a_buy_that_comes_late_says_how_old_its_price_is(breaking_out: Desk) -> None:
    breaking_out.clock.pass_time(minutes=45)
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert "The candle closed 45 min ago: look at the price before you buy." in message.body


def test_a_buy_in_time_does_not_say_how_old_its_price_is(breaking_out: Desk) -> None:
    breaking_out.clock.pass_time(minutes=4)
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert "ago" not in message.body
