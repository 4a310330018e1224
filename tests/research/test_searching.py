"""What the nightly search keeps: candidates with what speaks for them, and nothing that signals would notice."""

from __future__ import annotations

import json
import pickle
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.searches import DatabaseSearches
from lib.adapters.database.strategies import DatabaseStrategies
from lib.errors import AllItemsFailed, DatabaseUnavailable, DataError, FksError, StrategyRefused
from lib.market.matrix import CandleMatrix
from lib.research.cells import Cell, try_cell
from lib.research.planning import Stock, assign
from lib.research.rules import TradingRules
from lib.research.search import SearchPlan
from lib.research.searching import Outcome, Searched, SearchResult, Work, run_backtest
from lib.research.stores import SearchRecord
from lib.research.windows import cut_candles
from lib.results import Status
from lib.strategy.registry import STRATEGIES
from lib.strategy.roster import register_strategies
from tests.portfolio.hand_exchange import HandClock
from tests.strategy.worlds import make_walk

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
PLAN = SearchPlan(combinations=12, seed=3, train_days=30, test_days=10)
SYMBOLS = ("S0/USDT", "S1/USDT", "S2/USDT")
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    register_strategies(DatabaseStrategies(engine), NOON)
    yield engine
    engine.dispose()


@dataclass
class MadeHistory:
    """Walks of two months; what is asked of a symbol is kept."""

    candles: CandleMatrix
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def load_matrix(self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime) -> CandleMatrix:
        self.asked.append(tuple(symbols))
        rows = [self.candles.row_of(symbol) for symbol in symbols]
        return cut_candles(self.candles, 0, len(self.candles.opened_at), rows)

    def load_starts(
        self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime
    ) -> Mapping[str, datetime]:
        return dict.fromkeys(symbols, START)


def work(cells: Sequence[Cell]) -> Generator[Outcome, None, None]:
    history = MadeHistory(make_walk(4, 24 * 90, seed=2))
    for cell in cells:
        try:
            yield try_cell(cell, history)
        except FksError as error:
            yield error


def plan_for(engine: Engine, *names: str, symbols: Sequence[str] = ("S0/USDT",), end: datetime = END) -> Any:
    stock = Stock("1h", tuple(symbols), dict.fromkeys(symbols, START), START, end)
    stored = [one for one in DatabaseStrategies(engine).load_strategies() if one.name in names]
    return [
        assign(one, STRATEGIES[one.name].model_validate(one.parameters), symbols, stock, TradingRules(), PLAN)
        for one in stored
    ]


def search_all(engine: Engine, **others: Any) -> tuple[SearchResult, tuple[Searched, ...]]:
    arguments: dict[str, Any] = {
        "assignments": plan_for(engine, "breakout"),
        "refused": (),
        "work": work,
        "store": DatabaseStrategies(engine),
        "records": DatabaseSearches(engine),
        "scope": "",
        "plan": PLAN,
        "clock": HandClock(NOON),
        "show": lambda *_: None,
    }
    return run_backtest(**arguments | others)


def run(engine: Engine, **others: Any) -> SearchResult:
    return search_all(engine, **others)[0]


def lose(failures: Mapping[str, Exception]) -> Work:
    def lose_some(cells: Sequence[Cell]) -> Generator[Outcome, None, None]:
        for cell, outcome in zip(cells, work(cells), strict=True):
            yield failures.get(cell.symbol, outcome)

    return lose_some


def count_candidates(engine: Engine) -> int:
    with engine.begin() as connection:
        found = connection.scalar(text("SELECT count(*) FROM strategy_parameters WHERE state = 'candidate'"))
        return int(found or 0)


def load_nights(engine: Engine) -> Sequence[SearchRecord]:
    return DatabaseSearches(engine).load_searches("", END + timedelta(days=9), 7)["breakout"]


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
    assert metrics["out_of_sample"]["days"] == 30
    assert set(metrics) >= {"train", "in_force_out_of_sample", "previous_day_return", "deflated_sharpe", "overfitting"}
    [planned] = plan_for(engine, "breakout")
    assert (candidate.window_starts_at, candidate.window_ends_at) == (planned.starts_at, END)
    assert planned.starts_at > START  # what the strategy looks back comes before
    assert len(candidate.code_version) == 12
    assert "best of 12 on 30 days; out of sample Sharpe" in candidate.why
    assert DatabaseStrategies(engine).load_strategies() == before  # signals notice nothing
    assert result.counts == {"strategies searched": 1, "candidates": 1}
    assert "version 2: " in result.render_tables()[0]


def test_the_same_search_again_keeps_its_version_and_a_later_one_retires_it(engine: Engine) -> None:
    run(engine)
    run(engine)
    assert [one.state for one in versions(engine)] == ["active", "candidate"]
    assert len(load_nights(engine)) == 1

    later = [replace(one, ends_at=END + timedelta(days=1)) for one in plan_for(engine, "breakout")]
    run(engine, assignments=later)
    assert [(one.version, one.state) for one in versions(engine)] == [(1, "active"), (2, "retired"), (3, "candidate")]
    assert [one.candidate_version for one in load_nights(engine)] == [3, 2]


def test_a_run_that_ended_in_the_middle_is_started_again_and_nothing_is_there_twice(engine: Engine) -> None:
    both = plan_for(engine, "breakout", "mean_reversion", symbols=SYMBOLS)

    def die_later(cells: Sequence[Cell]) -> Generator[Outcome, None, None]:
        for number, outcome in enumerate(work(cells)):
            if number == 3:
                raise KeyboardInterrupt
            yield outcome

    with pytest.raises(KeyboardInterrupt):
        run(engine, assignments=both, work=die_later)
    kept = count_candidates(engine)
    assert kept == 1  # the first strategy was done
    result = run(engine, assignments=both)
    assert result.counts == {"strategies searched": 2, "candidates": 2}
    assert count_candidates(engine) == 2
    assert [one.version for one in versions(engine)] == [1, 2]


def test_a_symbol_that_fails_is_left_out_and_told(engine: Engine) -> None:
    both = plan_for(engine, "breakout", symbols=SYMBOLS)
    result, [done] = search_all(engine, assignments=both, work=lose({"S1/USDT": DataError("Its candles are gone.")}))
    assert result.status is Status.PARTIAL
    assert [(one.name, one.detail) for one in result.failed] == [("breakout on S1/USDT", "Its candles are gone.")]
    assert (done.symbols, done.failed_symbols) == (("S0/USDT", "S2/USDT"), ("S1/USDT",))
    assert versions(engine)[1].metrics["symbols"] == ["S0/USDT", "S2/USDT"]
    assert versions(engine)[1].metrics["failed_symbols"] == ["S1/USDT"]
    assert [one.symbol for one in result.symbols] == ["S0/USDT", "S2/USDT", "S1/USDT"]
    _, [alone] = search_all(engine, assignments=plan_for(engine, "breakout", symbols=("S0/USDT", "S2/USDT")))
    np.testing.assert_array_equal(done.search.best_returns, alone.search.best_returns)


def test_half_of_the_symbols_are_too_few_to_choose_by(engine: Engine) -> None:
    lost = {symbol: DatabaseUnavailable("gone") for symbol in SYMBOLS[:2]}
    both = plan_for(engine, "breakout", "mean_reversion", symbols=SYMBOLS)

    def lose_first(cells: Sequence[Cell]) -> Generator[Outcome, None, None]:
        yield from lose(lost)(cells[:3])
        yield from work(cells[3:])

    result = run(engine, assignments=both, work=lose_first)
    assert result.status is Status.PARTIAL
    assert [one.strategy for one in result.lines] == ["mean_reversion"]
    assert "2 of 3 symbols failed, so nothing is chosen; S0/USDT: gone" in result.failed[0].detail
    assert len(versions(engine)) == 1


def test_when_every_cell_fails_the_search_fails_and_may_be_tried_again(engine: Engine) -> None:
    with pytest.raises(AllItemsFailed, match="gone") as failed:
        run(engine, work=lose({"S0/USDT": DatabaseUnavailable("gone")}))
    assert failed.value.retryable


def test_code_at_fault_on_one_symbol_is_at_fault(engine: Engine) -> None:
    three = plan_for(engine, "breakout", symbols=SYMBOLS)
    with pytest.raises(AllItemsFailed, match="looks ahead"):
        run(engine, assignments=three, work=lose({"S1/USDT": StrategyRefused("It looks ahead.")}))
    assert len(versions(engine)) == 1


def test_a_cell_reads_its_own_symbol_and_the_market_only_where_its_strategy_does(engine: Engine) -> None:
    for name, universe in (("breakout", ("S1/USDT",)), ("index_momentum", SYMBOLS)):
        [one] = plan_for(engine, name, symbols=SYMBOLS)
        history = MadeHistory(make_walk(3, 24 * 90))
        try_cell(one.cells[1], history)
        assert history.asked == [universe]
        assert len(pickle.dumps(one.cells[1])) < 2_000


def test_other_code_than_the_search_began_with_is_refused(engine: Engine) -> None:
    [one] = plan_for(engine, "breakout")
    other = replace(one.cells[0], code_version="000000000000")
    with pytest.raises(StrategyRefused, match="breakout here is not the one"):
        try_cell(other, MadeHistory(make_walk(1, 24 * 90)))


def test_symbols_with_a_short_history_are_left_out_and_none_is_an_error(engine: Engine) -> None:
    stored = DatabaseStrategies(engine).load_strategies()[0]
    strategy = STRATEGIES[stored.name].model_validate(stored.parameters)
    starts = {"S0/USDT": START, "S1/USDT": END - timedelta(days=41)}
    stock = Stock("1h", SYMBOLS, starts, START, END)
    one = assign(stored, strategy, SYMBOLS, stock, TradingRules(), PLAN)
    assert ([cell.symbol for cell in one.cells], one.left_out) == (["S0/USDT"], ("S1/USDT", "S2/USDT"))
    with pytest.raises(DataError, match="No symbol has 41 days"):
        assign(stored, strategy, ["S1/USDT"], stock, TradingRules(), PLAN)


def test_progress_names_each_cell(engine: Engine) -> None:
    told: list[tuple[int, int, str]] = []
    run(engine, assignments=plan_for(engine, "breakout", symbols=SYMBOLS), show=lambda *step: told.append(step))
    assert told == [
        (0, 3, "breakout on S0/USDT"),
        (1, 3, "breakout on S1/USDT"),
        (2, 3, "breakout on S2/USDT"),
    ]


def test_where_what_is_in_force_is_the_best_there_is_no_candidate(engine: Engine) -> None:
    _, [first] = search_all(engine)
    winner = first.search.tried[first.search.best].model_dump(mode="json")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM backtest_runs"))
        connection.execute(text("DELETE FROM strategy_parameters WHERE state = 'candidate'"))
        connection.execute(
            text("UPDATE strategy_parameters SET parameters = :it WHERE strategy = 'breakout'").bindparams(
                it=json.dumps(winner)
            )
        )
    result = run(engine, assignments=plan_for(engine, "breakout"))
    assert len(versions(engine)) == 1
    assert result.lines[0].candidate == "none: what is in force is the best"
    [night] = load_nights(engine)
    assert (night.candidate_version, night.in_force_version, night.parameters) == (None, 1, winner)
    assert (night.window_ends_at, night.metrics["combinations"]) == (END, 12)
    assert set(night.metrics) >= {"previous_day_return", "deflated_sharpe", "overfitting"}
    assert len(night.code_version) == 12
    assert DatabaseSearches(engine).load_searches("BTC/USDT", END + timedelta(days=1), 7) == {}
