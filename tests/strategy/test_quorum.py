"""Strategies of the whole market: how much of it must be there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lib.results import Status
from tests.strategy.conftest import NOON, Desk, item


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
