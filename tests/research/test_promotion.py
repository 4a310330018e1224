"""A candidate comes into force when its search and recent days speak for it, and never otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from lib.adapters.database.strategies import DatabaseStrategies
from lib.errors import StrategyRefused
from lib.research.backtest import Backtest
from lib.research.verdict import ValidationLimits, find_obstacles
from lib.strategy.breakout import Breakout
from lib.strategy.registry import calc_code_version
from lib.strategy.roster import load_roster
from lib.strategy.stores import Candidate, StoredCandidate, StoredStrategy, StrategyState
from tests.research.test_validation import MILD, SEVERE, engine, judge, query, states, validate
from tests.strategy.conftest import NOON

__all__ = ["engine"]  # the fixture
CODE = calc_code_version(Breakout)
FINE: dict[str, Any] = {
    "combinations": 200,
    "deflated_sharpe": 0.97,
    "overfitting": 0.2,
    "out_of_sample": {"sharpe": 1.4},
    "in_force_out_of_sample": {"sharpe": 0.9},
}
FOUND = Breakout(channel=40, stop_atr=3.0).model_dump(mode="json")


def keep(engine: Engine, *, code: str = CODE, **metrics: Any) -> None:
    """Store a candidate of breakout, as the search does."""
    start, end = NOON - timedelta(days=200), NOON - timedelta(hours=12)
    candidate = Candidate("breakout", FOUND, FINE | metrics, "best of 200", start, end, code)
    assert DatabaseStrategies(engine).save_candidate(candidate, NOON - timedelta(hours=12)) == 2


def versions(engine: Engine) -> list[tuple[int, str]]:
    found = query(engine, "SELECT version, state FROM strategy_parameters WHERE strategy = 'breakout' ORDER BY version")
    return [tuple(row) for row in found]


def test_a_candidate_that_passes_comes_into_force_and_people_are_told_what_changed(engine: Engine) -> None:
    keep(engine)
    result = validate(engine, MILD, strategy="breakout")
    assert versions(engine) == [(1, "retired"), (2, "active")]
    [message] = query(engine, "SELECT * FROM notifications")
    assert message.title == "⚠️ Strategy breakout has new parameters: version 2"
    for words in (
        "version 2 instead of 1",
        "channel 20 → 40",
        "stop_atr 2.0 → 3.0",
        "Deflated Sharpe 0.97 of 200 tried",
    ):
        assert words in message.body
    [change] = query(engine, "SELECT * FROM strategy_changes WHERE strategy = 'breakout' AND revision = 2")
    assert (change.state, change.version) == ("active", 2)
    assert "candidate version 2 passes" in change.why
    assert result.counts["promoted"] == 1
    assert "candidate version 2 is in force" in result.render_tables()[0]


def test_signals_use_it_from_then_on(engine: Engine) -> None:
    keep(engine)
    validate(engine, MILD)
    enrolled = load_roster(DatabaseStrategies(engine), NOON).enrolled["breakout"]
    assert (enrolled.version, enrolled.strategy) == (2, Breakout(channel=40, stop_atr=3.0))


def test_it_replaces_parameters_that_fail_instead_of_their_being_disabled(engine: Engine) -> None:
    keep(engine)
    judged: list[int] = []

    def judge_by_version(one: StoredStrategy) -> Backtest:
        judged.append(one.version)
        assert one.parameters == (FOUND if one.version == 2 else Breakout().model_dump(mode="json"))
        done = judge(one)
        return done if one.version == 2 else replace(done, metrics=replace(done.metrics, trades=0))

    result = validate(engine, replace(MILD, trades=1), strategy="breakout", judge=judge_by_version)
    assert judged == [1, 2]
    assert versions(engine) == [(1, "retired"), (2, "active")]
    assert states(engine)["breakout"] is StrategyState.ACTIVE
    assert result.lines[0].verdict == "fails, and is replaced"
    assert len(query(engine, "SELECT * FROM notifications")) == 1


def test_one_that_fails_recently_stays_a_candidate(engine: Engine) -> None:
    keep(engine)
    result = validate(engine, SEVERE, strategy="breakout")
    assert versions(engine) == [(1, "active"), (2, "candidate")]
    assert states(engine)["breakout"] is StrategyState.DISABLED
    assert "candidate version 2 stays one: Sharpe" in result.lines[0].candidate


@pytest.mark.parametrize("state", [StrategyState.PINNED, StrategyState.DISABLED])
def test_what_an_operator_pinned_or_disabled_keeps_its_parameters(engine: Engine, state: StrategyState) -> None:
    keep(engine)
    DatabaseStrategies(engine).change_state("breakout", state, "operator", NOON)
    validate(engine, MILD, strategy="breakout")
    assert versions(engine) == [(1, "active"), (2, "candidate")]
    assert states(engine)["breakout"] is state


def test_one_that_was_changed_meanwhile_is_left_alone(engine: Engine) -> None:
    keep(engine)

    def judge_slowly(one: StoredStrategy) -> Backtest:
        if one.version == 2:
            DatabaseStrategies(engine).change_state("breakout", StrategyState.PINNED, "operator", NOON)
        return judge(one)

    result = validate(engine, MILD, strategy="breakout", judge=judge_slowly)
    assert versions(engine) == [(1, "active"), (2, "candidate")]
    assert "changed meanwhile" in result.lines[0].candidate
    assert query(engine, "SELECT * FROM notifications") == []


def test_one_that_cannot_be_used_changes_nothing(engine: Engine) -> None:
    keep(engine)

    def judge_first(one: StoredStrategy) -> Backtest:
        if one.version == 2:
            raise StrategyRefused("breakout: channel: expected 10 to 60, was 400.")
        return judge(one)

    result = validate(engine, MILD, strategy="breakout", judge=judge_first)
    assert "candidate version 2 cannot be used" in result.lines[0].candidate
    assert versions(engine) == [(1, "active"), (2, "candidate")]


@pytest.mark.parametrize(
    ("metrics", "obstacle"),
    [
        ({"deflated_sharpe": 0.94}, "deflated Sharpe 0.94, expected at least 0.95"),
        ({"deflated_sharpe": None}, "deflated Sharpe is not known, expected at least 0.95"),
        ({"overfitting": 0.51}, "overfitting 0.51, expected at most 0.5"),
        ({"overfitting": None}, "overfitting is not known, expected at most 0.5"),
        ({"out_of_sample": {"sharpe": 0.9}}, "Sharpe out of sample 0.90, expected above 0.90 as in force"),
        ({"out_of_sample": {"sharpe": None}}, "Sharpe out of sample is not known, expected above 0.90 as in force"),
    ],
)
def test_each_doubt_of_its_search_speaks_against_it(metrics: dict[str, Any], obstacle: str) -> None:
    assert find_obstacles(StoredCandidate(2, FOUND, FINE, CODE), CODE, ValidationLimits()) == []
    assert find_obstacles(StoredCandidate(2, FOUND, FINE | metrics, CODE), CODE, ValidationLimits()) == [obstacle]


def test_one_that_older_code_chose_or_that_nothing_is_known_of_stays_one() -> None:
    old = find_obstacles(StoredCandidate(2, FOUND, FINE, "0" * 12), CODE, ValidationLimits())
    assert old == ["its strategy's code has changed since it was chosen"]
    assert len(find_obstacles(StoredCandidate(2, FOUND, {}, CODE), CODE, ValidationLimits())) == 3
