"""BUYs that come too late to be traded: told as missed, once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from signal import SIGKILL

import pytest

from lib.adapters.database.signals import DatabaseSignals
from lib.errors import DatabaseUnavailable
from lib.notifications.messages import Message
from lib.results import Status
from lib.strategy.missed import MOST_LINES, Missed, write_missed
from lib.strategy.stores import Signal, SignalKey, StrategyState
from tests.strategy.conftest import CANDLE, NOON, SOL, SYMBOLS, Desk, item


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
    assert "began at the candle of 2026-03-02 12:00 UTC (close 106), which closed 2 h ago" in missed.detail
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


def test_a_message_of_many_missed_buys_describes_some_and_names_the_others() -> None:
    keys = [SOL._replace(symbol=f"S{number}/USDT") for number in range(MOST_LINES + 2)]
    message = write_missed([Missed(key, Decimal(105), "why") for key in keys], NOON + timedelta(hours=2))
    assert message.title == f"🚀 Missed: {len(keys)} BUYs"
    assert len(message.body.splitlines()) == MOST_LINES + 2
    assert "And S30/USDT (breakout 1h), S31/USDT (breakout 1h)." in message.body
