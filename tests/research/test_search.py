"""The search of parameters: seeded, chosen on the past, judged on what came after, and honest about chance."""

from __future__ import annotations

from math import e

import numpy as np
import pytest

from lib.errors import DataError
from lib.research.overfitting import calc_deflated_sharpe, calc_expected_best, calc_overfitting, calc_sharpes
from lib.research.rules import TradingRules
from lib.research.search import SearchPlan, choose_parameters, walk_forward
from lib.research.sweep import sweep
from lib.research.tally import search
from lib.strategy.registry import STRATEGIES
from tests.strategy.worlds import make_walk

BREAKOUT, MOMENTUM = STRATEGIES["breakout"](), STRATEGIES["index_momentum"]()
PLAN = SearchPlan(combinations=24, seed=3, train_days=30, test_days=10)


def test_the_same_seed_tries_the_same_and_the_one_in_force_comes_first() -> None:
    in_force = BREAKOUT.model_copy(update={"channel": 40})
    tried = choose_parameters(in_force, 50, seed=1)
    assert tried == choose_parameters(in_force, 50, seed=1)
    assert tried != choose_parameters(in_force, 50, seed=2)
    assert tried[0] == in_force
    assert len(set(tried)) == len(tried) == 50
    space = type(BREAKOUT).calc_search_space()
    assert all(one.model_dump()[name] in values for one in tried for name, values in space.items())


def test_every_value_is_tried_sooner_or_later_and_a_small_space_wholly() -> None:
    tried = choose_parameters(MOMENTUM, 10**6, seed=1)
    space = type(MOMENTUM).calc_search_space()
    assert len(tried) == np.prod([len(values) for values in space.values()])
    assert len({one.model_dump_json() for one in tried}) == len(tried)


def test_what_was_best_before_is_judged_on_the_days_after() -> None:
    first = np.tile([0.02, 0.01], 5)
    second = np.tile([-0.01, 0.0], 5)
    returns = np.array([np.concatenate([first, second, second]), np.concatenate([second, first, first])])
    walk = walk_forward(returns, SearchPlan(train_days=10, test_days=10))
    assert walk.chosen == (0, 1)
    np.testing.assert_array_equal(walk.returns, np.concatenate([second, first]))
    year = 365**0.5
    assert walk.train[0].tolist() == pytest.approx((calc_sharpes(np.array([first, second])) * year).tolist())
    assert walk.test[0].tolist() == pytest.approx((calc_sharpes(np.array([second, first])) * year).tolist())


def test_days_after_the_window_change_nothing_of_the_choice() -> None:
    draw = np.random.default_rng(1)
    returns = draw.normal(0, 0.01, (20, 100))
    plan = SearchPlan(train_days=40, test_days=20)
    walk = walk_forward(returns, plan)
    returns[:, 60:] = draw.normal(0, 0.01, (20, 40))
    again = walk_forward(returns, plan)
    assert walk.chosen[0] == again.chosen[0]
    np.testing.assert_array_equal(walk.returns[:20], again.returns[:20])


def test_a_search_is_made_of_what_the_engine_says_of_each_symbol() -> None:
    candles = make_walk(2, 24 * 90)
    symbols, first, rules = ("S0/USDT", "S1/USDT"), 24 * 20, TradingRules()
    told: list[str] = []
    found = search(BREAKOUT, candles, symbols, first, rules, PLAN, lambda *step: told.append(step[2]))
    assert told == ["breakout on S0/USDT", "breakout on S1/USDT"]
    assert found.tried[0] == BREAKOUT
    parts = [sweep([found.tried[found.best]], candles, symbol, first, rules).daily_returns[0] for symbol in symbols]
    mean = (parts[0] + parts[1]) / 2
    assert found.previous_day_return == pytest.approx(mean[-1])
    assert found.train.total_return == pytest.approx(np.prod(1 + mean[-31:-1]) - 1)
    assert found.sharpes[found.best] == np.nanmax(found.sharpes)
    assert found.out_of_sample.periods == found.in_force.periods == 30
    assert found.deflated_sharpe is not None
    assert found.overfitting is not None
    again = search(BREAKOUT, candles, symbols, first, rules, PLAN, lambda *_: None)
    assert (again.best, again.deflated_sharpe, again.overfitting) == (
        found.best,
        found.deflated_sharpe,
        found.overfitting,
    )


def test_what_it_came_to_on_each_symbol_adds_up_to_what_it_came_to_on_all() -> None:
    candles = make_walk(2, 24 * 90)
    symbols, first, rules = ("S0/USDT", "S1/USDT"), 24 * 20, TradingRules()
    found = search(BREAKOUT, candles, symbols, first, rules, PLAN, lambda *_: None)
    for one in found.symbols:
        tried = sweep(found.tried, candles, one.symbol, first, rules)
        windows = [slice(30 + 10 * number, 40 + 10 * number) for number in range(3)]
        followed = [tried.daily_returns[best, days] for best, days in zip(found.walk.chosen, windows, strict=True)]
        after = np.concatenate(followed)
        assert one.total_return == pytest.approx(np.prod(1 + after) - 1)
        assert one.sharpe == pytest.approx(calc_sharpes(after[np.newaxis])[0] * 365**0.5)
        in_force = tried.daily_returns[0, 30:60]
        assert one.in_force_return == pytest.approx(np.prod(1 + in_force) - 1)
        assert one.in_force_sharpe == pytest.approx(calc_sharpes(in_force[np.newaxis])[0] * 365**0.5)
        place = found.best
        assert (one.best_return, one.best_drawdown) == (tried.total_return[place], tried.max_drawdown[place])
        assert one.best_trades == tried.trades[place]
    assert sum(one.best_trades for one in found.symbols) == found.trades


def test_too_few_days_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(DataError, match=r"S0/USDT: expected at least 41 days .* was 40"):
        search(BREAKOUT, make_walk(1, 24 * 40), ["S0/USDT"], 0, TradingRules(), PLAN, lambda *_: None)


def test_the_best_of_many_by_chance_is_as_good_as_the_theorem_says() -> None:
    """Trials without any skill, of which the best is taken, again and again."""
    draw = np.random.default_rng(4)
    best = [draw.normal(0, 0.06, 200).max() for _ in range(2000)]
    assert calc_expected_best(draw.normal(0, 0.06, 200)) == pytest.approx(np.mean(best), rel=0.15)


def test_the_expected_best_of_two_trials_is_worked_out_by_hand() -> None:
    from statistics import NormalDist

    # deviation 0.1 of the trials 0.1 and 0.1 + 0.1 * sqrt(2); Z(1/2) = 0, so only Euler's part is left
    trials = np.array([0.1, 0.1 + 0.1 * 2**0.5])
    expected = 0.1 * 0.5772156649015329 * NormalDist().inv_cdf(1 - 1 / (2 * e))
    assert calc_expected_best(trials) == pytest.approx(expected)


def test_the_deflated_sharpe_falls_with_trials_and_is_surer_with_more_days() -> None:
    draw = np.random.default_rng(5)
    returns = draw.normal(0.002, 0.01, 250)
    few, many = draw.normal(0, 0.06, 5), draw.normal(0, 0.06, 2000)
    one, other = calc_deflated_sharpe(returns, few), calc_deflated_sharpe(returns, many)
    assert one is not None
    assert other is not None
    assert one > other
    assert one > 0.5 > other
    longer = [calc_deflated_sharpe(np.tile(returns, 4), trials) for trials in (few, many)]
    assert longer[0] is not None
    assert longer[1] is not None
    assert longer[0] > one
    assert longer[1] < other
    assert calc_deflated_sharpe(np.zeros(100), few) is None
    assert calc_deflated_sharpe(np.array([0.1, 0.2]), few) is None


def test_without_trials_to_deflate_by_it_is_the_probability_of_a_sharpe_above_zero() -> None:
    """Normal returns: close to the t-test's probability, by its textbook formula."""
    from statistics import NormalDist

    draw = np.random.default_rng(6)
    returns = draw.normal(0.001, 0.01, 500)
    sharpe = float(calc_sharpes(returns[np.newaxis])[0])
    found = calc_deflated_sharpe(returns, np.array([0.1]))
    assert found == pytest.approx(NormalDist().cdf(sharpe * 499**0.5), abs=0.01)


def test_trials_without_skill_overfit_half_the_time_and_one_with_skill_never() -> None:
    draw = np.random.default_rng(7)
    found = [calc_overfitting(draw.normal(0, 0.01, (40, 240))) for _ in range(20)]
    assert np.mean([one for one in found if one is not None]) == pytest.approx(0.5, abs=0.1)
    skilled = draw.normal(0, 0.01, (40, 240))
    skilled[3] += 0.01
    assert calc_overfitting(skilled) == 0
    assert calc_overfitting(skilled[:1]) is None
    assert calc_overfitting(skilled[:, :20]) is None


def test_overfitting_is_that_of_the_plain_definition() -> None:
    """Written out again without sums: every split, the best inside, its rank outside."""
    from itertools import combinations

    returns = np.random.default_rng(8).normal(0, 0.01, (9, 60))
    parts = np.array_split(np.arange(60), 6)
    below = []
    for half in combinations(range(6), 3):
        inside = np.concatenate([parts[one] for one in half])
        outside = np.setdiff1d(np.arange(60), inside)
        rates = [returns[:, days].mean(axis=1) / returns[:, days].std(axis=1) for days in (inside, outside)]
        rank = (rates[1] <= rates[1][rates[0].argmax()]).sum()
        below.append(rank / 10 <= 0.5)
    assert calc_overfitting(returns, blocks=6) == pytest.approx(np.mean(below))
