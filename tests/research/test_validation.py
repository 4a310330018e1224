"""Who fails on recent data gives no signals from then on, and people hear of it with the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.strategies import DatabaseStrategies
from lib.errors import (
    AllItemsFailed,
    DatabaseUnavailable,
    DataError,
    EnvironmentRefused,
    OperatorError,
    StrategyRefused,
)
from lib.indicators.work import to_aware
from lib.notifications.messages import Attachment
from lib.research.backtest import Backtest, backtest
from lib.research.metrics import BacktestMetrics
from lib.research.rules import TradingRules
from lib.research.validation import ValidationResult, validate_strategies
from lib.research.verdict import ValidationLimits, find_failures
from lib.results import Status
from lib.strategy.registry import STRATEGIES
from lib.strategy.roster import load_roster, register_strategies
from lib.strategy.stores import StoredStrategy, StrategyState
from tests.portfolio.hand_exchange import HandClock
from tests.strategy.conftest import NOON
from tests.strategy.worlds import FIRST, make_walk

SEVERE = ValidationLimits(sharpe=50)  # nothing reaches it
MILD = ValidationLimits(sharpe=-1000, total_return=-1, drawdown=1.1, trades=0)
PICTURE = Attachment("curve.png", "image/png", b"x")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    register_strategies(DatabaseStrategies(engine), NOON - timedelta(days=1))
    yield engine
    engine.dispose()


def judge(one: StoredStrategy) -> Backtest:
    strategy = STRATEGIES[one.name].model_validate(one.parameters)
    return backtest(
        strategy, make_walk(2, 1500), ["S0/USDT", "S1/USDT"], to_aware(FIRST) + timedelta(hours=600), TradingRules()
    )


def validate(engine: Engine, limits: ValidationLimits = SEVERE, **others: Any) -> ValidationResult:
    arguments: dict[str, Any] = {
        "strategy": None,
        "judge": judge,
        "draw": lambda _: PICTURE,
        "store": DatabaseStrategies(engine),
        "limits": limits,
        "clock": HandClock(NOON),
        "show": lambda *_: None,
    }
    return validate_strategies(**arguments | others)


def query(engine: Engine, statement: str) -> list[Any]:
    with engine.begin() as connection:
        return list(connection.execute(text(statement)))


def states(engine: Engine) -> dict[str, StrategyState]:
    return {one.name: one.state for one in DatabaseStrategies(engine).load_strategies()}


def test_who_fails_is_disabled_with_the_reason_and_told_once_with_the_numbers(engine: Engine) -> None:
    result = validate(engine, strategy="breakout")
    assert states(engine)["breakout"] is StrategyState.DISABLED
    assert states(engine)["mean_reversion"] is StrategyState.ACTIVE
    (stored,) = [one for one in DatabaseStrategies(engine).load_strategies() if one.name == "breakout"]
    assert stored.why.startswith("validation of 2026-03-02: Sharpe ")
    assert "expected above 50" in stored.why
    [message] = query(engine, "SELECT * FROM notifications")
    assert message.title.startswith("⚠️ Strategy breakout disabled: Sharpe ")
    for words in (
        "expected above 50",
        "Tested 2026-01-26 to ",
        "on 2 symbols, 1h, parameters version 1",
        "drawdown",
        "pinned",
    ):
        assert words in message.body
    [change] = query(engine, "SELECT * FROM strategy_changes WHERE strategy = 'breakout' AND revision = 2")
    assert (change.state, change.why) == ("disabled", stored.why)
    assert result.counts == {"strategies judged": 1, "disabled": 1, "promoted": 0}
    judged, changed = result.render_tables()
    assert "fails, and is disabled" in judged
    assert stored.why in changed


def test_signals_stop_using_it_and_nothing_steps_in(engine: Engine) -> None:
    validate(engine)
    roster = load_roster(DatabaseStrategies(engine), NOON + timedelta(minutes=15))
    assert not roster.enrolled
    assert len(roster.disabled) == len(STRATEGIES)
    assert any("none steps in by itself" in item.detail for item in roster.items)


def test_who_passes_stays_and_nobody_is_told(engine: Engine) -> None:
    result = validate(engine, MILD)
    assert set(states(engine).values()) == {StrategyState.ACTIVE}
    assert query(engine, "SELECT * FROM notifications") == []
    assert result.status is Status.OK
    assert all(line.verdict == "passes" for line in result.lines)


def test_a_second_night_skips_the_disabled_and_repeats_nothing(engine: Engine) -> None:
    validate(engine)
    again = validate(engine, clock=HandClock(NOON + timedelta(days=1)))
    assert again.status is Status.SKIPPED
    assert all("disabled since" in item.detail for item in again.items)
    assert len(query(engine, "SELECT * FROM notifications")) == len(STRATEGIES)


def test_a_disabled_one_is_judged_when_it_is_named_and_stays_disabled(engine: Engine) -> None:
    store = DatabaseStrategies(engine)
    store.change_state("breakout", StrategyState.DISABLED, "operator", NOON)
    assert validate(engine, MILD, strategy="breakout").lines[0].verdict == "passes"
    assert validate(engine, SEVERE, strategy="breakout").lines[0].verdict == "fails, and stays disabled"
    assert states(engine)["breakout"] is StrategyState.DISABLED
    assert query(engine, "SELECT * FROM notifications") == []


def test_a_pinned_one_stays_and_people_are_reminded_once_a_week(engine: Engine) -> None:
    DatabaseStrategies(engine).change_state("breakout", StrategyState.PINNED, "operator", NOON)
    for days in (0, 1, 2, 7):
        validate(engine, strategy="breakout", clock=HandClock(NOON + timedelta(days=days)))
    assert states(engine)["breakout"] is StrategyState.PINNED
    titles = [message.title for message in query(engine, "SELECT * FROM notifications")]
    assert len(titles) == 2
    assert titles[0].startswith("⚠️ Strategy breakout fails, and is pinned: ")


def test_one_that_was_changed_meanwhile_is_left_as_it_is(engine: Engine) -> None:
    store = DatabaseStrategies(engine)

    def judge_slowly(one: StoredStrategy) -> Backtest:
        store.change_state(one.name, StrategyState.PINNED, "operator: I need it", NOON)
        return judge(one)

    result = validate(engine, strategy="breakout", judge=judge_slowly)
    assert states(engine)["breakout"] is StrategyState.PINNED
    assert "changed meanwhile" in result.items[0].detail
    assert query(engine, "SELECT * FROM notifications") == []


def test_one_whose_code_cannot_be_trusted_is_disabled(engine: Engine) -> None:
    def refuse(one: StoredStrategy) -> Backtest:
        raise StrategyRefused(f"Strategy {one.name} looks ahead: at the candle of noon. Mend its code.")

    result = validate(engine, strategy="breakout", judge=refuse)
    assert states(engine)["breakout"] is StrategyState.DISABLED
    [message] = query(engine, "SELECT * FROM notifications")
    assert "looks ahead" in message.body
    assert result.counts["disabled"] == 1


def test_what_cannot_be_judged_changes_nothing_and_is_reported(engine: Engine) -> None:
    def judge_some(one: StoredStrategy) -> Backtest:
        if one.name == "breakout":
            raise DataError("No symbol has 387 1h candles.")
        return judge(one)

    result = validate(engine, MILD, judge=judge_some)
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.failed] == ["breakout"]
    assert set(states(engine).values()) == {StrategyState.ACTIVE}

    def judge_none(one: StoredStrategy) -> Backtest:
        raise DataError(f"No symbol has candles for {one.name}.")

    with pytest.raises(AllItemsFailed, match="No symbol has candles"):
        validate(engine, judge=judge_none)


def test_what_a_machine_refuses_is_no_verdict_on_a_strategy(engine: Engine) -> None:
    def refuse(one: StoredStrategy) -> Backtest:
        raise EnvironmentRefused("The database's disk is full.")

    with pytest.raises(AllItemsFailed, match="disk is full"):
        validate(engine, judge=refuse)
    assert set(states(engine).values()) == {StrategyState.ACTIVE}


def test_a_lost_database_is_no_verdict(engine: Engine) -> None:
    def lose(one: StoredStrategy) -> Backtest:
        raise DatabaseUnavailable("gone")

    with pytest.raises(DatabaseUnavailable):
        validate(engine, judge=lose)
    assert set(states(engine).values()) == {StrategyState.ACTIVE}


def test_an_unknown_strategy_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(OperatorError, match=r"Unknown strategy 'breakin'. Expected one of breakout, "):
        validate(engine, strategy="breakin")


def metrics_of(**growth: float | None) -> BacktestMetrics:
    one = STRATEGIES["breakout"]
    done = judge(StoredStrategy("breakout", StrategyState.ACTIVE, "", NOON, 1, one().model_dump()))
    fine: dict[str, Any] = {"sharpe": 1.5, "total_return": 0.1, "max_drawdown": -0.1}
    return replace(done.metrics, trades=30, growth=replace(done.metrics.growth, **(fine | growth)))


@pytest.mark.parametrize(
    ("growth", "failure"),
    [
        ({"sharpe": 1.0}, "Sharpe 1.00, expected above 1"),
        ({"sharpe": None}, "Sharpe is not defined, expected above 1"),
        ({"sharpe": np.nan}, "Sharpe nan, expected above 1"),
        ({"total_return": 0.0}, "return 0.0 %, expected above 0 %"),
        ({"max_drawdown": -0.3}, "drawdown 30.0 %, expected below 30 %"),
    ],
)
def test_each_limit_must_be_passed_not_reached(growth: dict[str, float | None], failure: str) -> None:
    assert find_failures(metrics_of(), ValidationLimits()) == []
    assert find_failures(metrics_of(**growth), ValidationLimits()) == [failure]


def test_too_few_trades_say_nothing() -> None:
    assert find_failures(replace(metrics_of(), trades=19), ValidationLimits()) == ["19 trades, expected at least 20"]
