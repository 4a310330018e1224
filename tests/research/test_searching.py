"""What the nightly search keeps: candidates with what speaks for them, and nothing that signals would notice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.strategies import DatabaseStrategies
from lib.errors import AllItemsFailed, DatabaseUnavailable, DataError
from lib.research.rules import TradingRules
from lib.research.search import SearchPlan, search
from lib.research.searching import Searched, SearchResult, run_backtest
from lib.results import Status
from lib.strategy.registry import STRATEGIES
from lib.strategy.roster import register_strategies
from lib.strategy.stores import StoredStrategy
from tests.portfolio.hand_exchange import HandClock
from tests.strategy.worlds import make_walk

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
PLAN = SearchPlan(combinations=12, seed=3, train_days=30, test_days=10)
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    register_strategies(DatabaseStrategies(engine), NOON)
    yield engine
    engine.dispose()


def find(one: StoredStrategy) -> Searched:
    strategy = STRATEGIES[one.name].model_validate(one.parameters)
    found = search(strategy, make_walk(1, 24 * 60), ["S0/USDT"], 0, TradingRules(), PLAN, lambda *_: None)
    return Searched(found, ("S0/USDT",), START, END)


def run(engine: Engine, **others: Any) -> SearchResult:
    store = DatabaseStrategies(engine)
    arguments: dict[str, Any] = {
        "strategy": "breakout",
        "stored": store.load_strategies(),
        "find": find,
        "store": store,
        "plan": PLAN,
        "clock": HandClock(NOON),
    }
    return run_backtest(**arguments | others)


def versions(engine: Engine) -> list[Any]:
    with engine.begin() as connection:
        query = "SELECT * FROM strategy_parameters WHERE strategy = 'breakout' ORDER BY version"
        return list(connection.execute(text(query)))


def test_the_best_is_kept_as_a_candidate_with_what_speaks_for_it(engine: Engine) -> None:
    before = DatabaseStrategies(engine).load_strategies()
    result = run(engine)
    defaults, candidate = versions(engine)
    assert (defaults.state, candidate.state, candidate.version) == ("active", "candidate", 2)
    assert STRATEGIES["breakout"].model_validate(candidate.parameters).model_dump() != defaults.parameters
    metrics = candidate.metrics
    assert (metrics["combinations"], metrics["seed"], metrics["symbols"]) == (12, 3, ["S0/USDT"])
    assert metrics["out_of_sample"]["days"] == 20
    assert set(metrics) >= {"train", "in_force_out_of_sample", "previous_day_return", "deflated_sharpe", "overfitting"}
    assert (candidate.window_starts_at, candidate.window_ends_at) == (START, END)
    assert len(candidate.code_version) == 12
    assert "best of 12 on 30 days; out of sample Sharpe" in candidate.why
    assert DatabaseStrategies(engine).load_strategies() == before  # signals notice nothing
    assert result.counts == {"strategies searched": 1, "candidates": 1}
    assert "version 2: " in result.render_tables()[0]


def test_the_same_search_again_keeps_its_version_and_a_later_one_retires_it(engine: Engine) -> None:
    run(engine)
    run(engine)
    assert [one.state for one in versions(engine)] == ["active", "candidate"]

    def find_later(one: StoredStrategy) -> Searched:
        done = find(one)
        return Searched(done.search, done.symbols, START, END + timedelta(days=1))

    run(engine, find=find_later)
    assert [(one.version, one.state) for one in versions(engine)] == [(1, "active"), (2, "retired"), (3, "candidate")]


def test_where_what_is_in_force_is_the_best_there_is_no_candidate(engine: Engine) -> None:
    best = find(next(one for one in DatabaseStrategies(engine).load_strategies() if one.name == "breakout")).search
    winner = best.tried[best.best].model_dump(mode="json")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE strategy_parameters SET parameters = :it WHERE strategy = 'breakout'").bindparams(
                it=json.dumps(winner)
            )
        )
    result = run(engine, stored=DatabaseStrategies(engine).load_strategies())
    assert len(versions(engine)) == 1
    assert result.lines[0].candidate == "none: what is in force is the best"


def test_one_that_cannot_be_searched_stops_no_other(engine: Engine) -> None:
    def find_some(one: StoredStrategy) -> Searched:
        if one.name != "breakout":
            raise DataError("No symbol has 211 days.")
        return find(one)

    result = run(engine, strategy=None, find=find_some)
    assert result.status is Status.PARTIAL
    assert len(result.failed) == len(STRATEGIES) - 1
    assert len(versions(engine)) == 2
    with pytest.raises(AllItemsFailed, match="No symbol has 211 days"):
        run(engine, strategy="mean_reversion", find=find_some)


def test_a_lost_database_is_tried_again(engine: Engine) -> None:
    def lose(one: StoredStrategy) -> Searched:
        raise DatabaseUnavailable("gone")

    with pytest.raises(DatabaseUnavailable):
        run(engine, find=lose)
