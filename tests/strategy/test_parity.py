"""Yesterday's signals, recomputed: equal, or told once with what differs and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.indicators import DatabaseIndicators
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.errors import AllItemsFailed
from lib.indicators.refresh import update_indicators
from lib.results import Status
from lib.strategy.breakout import Breakout
from lib.strategy.deciding import News
from lib.strategy.parity import ParityOptions, check_parity
from lib.strategy.parity_report import DifferenceLine, Finding, ParityResult
from lib.strategy.registry import STRATEGIES, calc_code_version
from lib.strategy.stores import Candidate, StrategyState
from tests.strategy.conftest import CANDLE, NOON, SYMBOLS, Desk, HandNews, item, wave
from tests.strategy.crooked import Crooked
from tests.strategy.test_stores import MESSAGE

NEXT_NIGHT = NOON + timedelta(hours=13)
OPTIONS = ParityOptions(timeframes=("1h", "4h"), live="1h")


def check(desk: Desk, **others: Any) -> ParityResult:
    """Compare at 01:00 of the day after."""
    desk.clock.pass_time(seconds=(NEXT_NIGHT - desk.clock.now()).total_seconds())
    arguments: dict[str, Any] = {
        "symbols": desk.symbols,
        "history": DatabaseHistory(desk.engine),
        "strategies": desk.strategies,
        "signals": desk.signals,
        "market": DatabaseMarketFacts(desk.engine),
        "news": News(desk.news, desk.options.min_sentiment or 0.0) if desk.news else None,
        "clock": desk.clock,
        "options": OPTIONS,
    }
    return check_parity(**arguments | others)


def findings(result: ParityResult) -> Mapping[Finding, int]:
    (line,) = result.lines
    return line.findings


def about_parity(desk: Desk) -> list[Any]:
    return [message for message in desk.messages() if message.deduplication_key.startswith("strategy:parity:")]


def only(result: ParityResult) -> DifferenceLine:
    (line,) = result.differences
    return line


def test_what_was_given_is_what_is_recomputed(breaking_out: Desk) -> None:
    breaking_out.run()
    result = check(breaking_out)
    assert result.status is Status.OK
    assert result.counts == {
        "signals compared": 3,
        "equal": 3,
        "differences": 0,
        "BUYs never given": 0,
        "alerts": 0,
    }
    assert about_parity(breaking_out) == []
    (table,) = result.render_tables()
    assert "| breakout" in table


def test_a_signal_that_was_never_so_is_told_once_with_the_numbers_and_what_to_do(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.query("UPDATE signals SET stop_loss = stop_loss - 1, confidence = 0.5 WHERE action = 'buy'")
    result = check(breaking_out)
    assert result.status is Status.PARTIAL
    assert findings(result) == {Finding.EQUAL: 2, Finding.DIFFERENT: 1}
    assert [line.field for line in result.differences] == ["stop loss", "confidence"]
    assert result.differences[0].amount.startswith("+1.00, +1.0")
    [message] = about_parity(breaking_out)
    assert message.severity == "warning"
    for words in ("SOL/USDT", "2026-03-02 11:00", "stop loss was ", "set-strategy-state with strategy breakout"):
        assert words in message.body
    assert check(breaking_out).counts["alerts"] == 0
    assert "stop loss" in result.render_tables()[1]


def test_a_step_of_the_exchange_is_no_difference(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.query("UPDATE signals SET stop_loss = stop_loss - 0.01, take_profit = take_profit + 0.01")
    assert check(breaking_out).counts["equal"] == 3
    breaking_out.query("UPDATE signals SET stop_loss = stop_loss - 0.01")
    assert only(check(breaking_out)).field == "stop loss"


def test_wrong_stored_indicators_show_as_differences(breaking_out: Desk) -> None:
    store = DatabaseIndicators(breaking_out.engine)
    update_indicators(store=store, clock=breaking_out.clock, symbols=SYMBOLS, timeframes=["1h"])
    breaking_out.query("UPDATE indicators SET atr_14 = atr_14 * 1.5 WHERE symbol = 'SOL/USDT'")
    breaking_out.run()
    result = check(breaking_out)
    assert findings(result)[Finding.DIFFERENT] == 1
    assert {"stop loss", "take profit"} <= {line.field for line in result.differences}


def test_a_buy_on_a_candle_that_the_exchange_corrected_is_told_as_such(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.query(
        "UPDATE candles SET close = 100, low = 99 WHERE symbol = 'SOL/USDT' AND opened_at = :at", at=CANDLE
    )
    result = check(breaking_out)
    assert findings(result) == {Finding.EQUAL: 2, Finding.CORRECTED: 1}
    assert [(line.field, line.stored, line.again) for line in result.differences] == [
        ("action", "BUY", "HOLD"),
        ("price", "105", "100"),
    ]
    [message] = about_parity(breaking_out)
    assert message.severity == "info"
    assert "was corrected after its signal: it closed at 105 then, and closes at 100 now" in message.body


def test_a_hold_on_a_corrected_candle_is_shown_and_nobody_is_told(desk: Desk) -> None:
    desk.run()
    desk.query("UPDATE candles SET close = 99.5 WHERE symbol = 'ADA/USDT' AND opened_at = :at", at=CANDLE)
    result = check(desk)
    assert (only(result).field, only(result).finding) == ("price", "candle corrected")
    assert result.status is Status.OK
    assert about_parity(desk) == []


def test_signals_are_recomputed_with_the_parameters_that_gave_them(breaking_out: Desk) -> None:
    """Version 2 looks back on so many candles that this is no BUY."""
    breaking_out.store_closes("SOL/USDT", [*wave(100, 350), 110.0, *wave(100, 48), 105.0])
    breaking_out.run()
    candidate = Candidate(
        "breakout",
        Breakout(channel=60).model_dump(mode="json"),
        {},
        "best",
        NOON - timedelta(days=30),
        NOON,
        calc_code_version(Breakout),
    )
    breaking_out.strategies.save_candidate(candidate, NOON)
    (stored,) = [one for one in breaking_out.strategies.load_strategies() if one.name == "breakout"]
    promoted = breaking_out.strategies.load_candidates()["breakout"]
    message = replace(MESSAGE, created_at=NOON)
    assert breaking_out.strategies.promote(stored, promoted, "passes", message, NOON + timedelta(hours=2))
    result = check(breaking_out)
    assert result.counts["equal"] == 3
    assert result.lines[0].versions == "1"
    breaking_out.query("UPDATE signals SET version = 2 WHERE symbol = 'BNB/USDT'")
    changed = only(check(breaking_out))
    assert (changed.field, changed.stored, changed.again) == ("parameters in force", "2", "1")


def test_a_strategy_that_was_disabled_later_is_compared_and_one_that_was_before_is_a_difference(desk: Desk) -> None:
    desk.run()
    desk.clock.pass_time(hours=1)
    desk.disable("breakout")
    assert check(desk).counts["equal"] == 3
    desk.query("UPDATE strategy_changes SET changed_at = :at WHERE state = 'disabled'", at=NOON - timedelta(minutes=1))
    result = check(desk)
    assert findings(result) == {Finding.DIFFERENT: 3}
    assert only(result.model_copy(update={"differences": result.differences[:1]})).again == "none: it was disabled"


def test_a_buy_that_no_run_gave_is_another_thing_than_one_that_a_run_left_out(desk: Desk) -> None:
    desk.run()
    desk.store_closes("ADA/USDT", [101.0, 112.0], last=NOON)
    result = check(desk)
    assert result.counts["BUYs never given"] == 1
    assert (only(result).finding, only(result).symbol) == ("BUY never given", "ADA/USDT")
    assert "no run decided on this candle" in only(result).why
    assert item(result, "breakout").status is Status.PARTIAL
    assert about_parity(desk) == []


def test_a_buy_whose_candle_came_after_the_run_is_said_so(desk: Desk) -> None:
    desk.clock.pass_time(hours=1)
    desk.store_closes("SOL/USDT", [100.0, 101.0], last=NOON)
    desk.run()
    desk.store_closes("ADA/USDT", [99.0, 112.0], last=NOON)
    result = check(desk)
    missed = [line for line in result.differences if line.finding == "BUY never given"]
    assert [line.symbol for line in missed] == ["ADA/USDT"]
    assert "a run decided on this candle without it" in missed[0].why


def test_a_strategy_of_the_whole_market_may_have_decided_before_all_of_it_was_there(market: Desk) -> None:
    for symbol in market.symbols[1:]:
        market.store_closes(symbol, [100.0, 150.0])
    market.clock.pass_time(minutes=15)
    assert market.run().counts["buys"] == 9
    market.store_closes("S0/USDT", [100.0, 0.001])
    market.query("UPDATE signals SET confidence = confidence / 2 WHERE action = 'buy' AND symbol <> 'S9/USDT'")
    result = check(market)
    assert findings(result)[Finding.LATE] >= 8
    assert all("decided without S0/USDT" in line.why for line in result.differences if line.finding == Finding.LATE)


def test_bad_news_hold_the_same_buy_back_again(breaking_out: Desk) -> None:
    breaking_out.news = HandNews({"SOL/USDT": -0.6})
    breaking_out.options = replace(breaking_out.options, min_sentiment=-0.2)
    breaking_out.run()
    assert check(breaking_out, news=News(breaking_out.news, -0.2)).counts["equal"] == 3
    assert only(check(breaking_out, news=None)).again == "BUY"


def test_a_candle_that_is_gone_leaves_nothing_to_compare(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.query("DELETE FROM candles WHERE symbol = 'SOL/USDT' AND opened_at = :at", at=CANDLE)
    assert findings(check(breaking_out)) == {Finding.EQUAL: 2, Finding.UNKNOWN: 1}


def test_many_differences_are_one_message(desk: Desk) -> None:
    desk.symbols = tuple(f"S{number}/USDT" for number in range(14))
    for symbol in desk.symbols:
        desk.store_closes(symbol, [*wave(100, 399), 105.0])
    desk.run()
    desk.query("UPDATE signals SET take_profit = take_profit * 2")
    result = check(desk)
    assert result.counts["differences"] == 14
    [message] = about_parity(desk)
    assert "14 signals differ" in message.title
    assert check(desk).counts["alerts"] == 0


def test_a_strategy_whose_code_is_gone_or_fails_stops_no_other(breaking_out: Desk) -> None:
    breaking_out.strategies.change_state("mean_reversion", StrategyState.ACTIVE, "operator", NOON)
    breaking_out.run()
    without = {name: kind for name, kind in STRATEGIES.items() if name != "mean_reversion"}
    result = check(breaking_out, code=without)
    assert "code of mean_reversion is gone" in item(result, "mean_reversion").detail
    assert result.counts["equal"] == 3
    result = check(breaking_out, code={**STRATEGIES, "mean_reversion": Crooked})
    assert "does not fit its code any more" in item(result, "mean_reversion").detail
    with pytest.raises(AllItemsFailed):
        check(breaking_out, code={})


def test_a_day_without_signals_has_nothing_to_compare(desk: Desk) -> None:
    result = check(desk)
    assert result.counts["signals compared"] == 0
    assert result.status is Status.SKIPPED
