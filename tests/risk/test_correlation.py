"""Whether ten positions are ten, or one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.risk.correlation import calc_correlations
from tests.risk.samples import daily, random_returns, walk

NAN = float("nan")


def test_it_equals_pandas_over_the_days_that_both_have() -> None:
    common = np.array(random_returns(200, seed=1))
    closes = {
        base: walk(common * part + np.array(random_returns(200, seed=seed)))
        for seed, (base, part) in enumerate({"BTC": 1.0, "ETH": 0.5, "ADA": -0.3, "NEW": 0.0}.items(), start=2)
    }
    closes["NEW"][:120] = [NAN] * 120
    closes["ETH"][50] = NAN
    table = calc_correlations(daily(**closes), min_overlap=30)
    expected = pd.DataFrame(closes).pct_change(fill_method=None).corr(min_periods=30)
    assert len(table.pairs) == 6
    for pair in table.pairs:
        first, second = pair.first.partition("/")[0], pair.second.partition("/")[0]
        assert pair.correlation == pytest.approx(expected.loc[first, second], abs=1e-12)


def test_the_pair_that_moves_most_alike_comes_first_and_the_average_is_over_all_pairs() -> None:
    returns, other = random_returns(100, seed=1), random_returns(100, seed=2)
    closes = {"BTC": walk(returns), "ETH": walk([2 * one for one in returns]), "ADA": walk([-one for one in returns])}
    table = calc_correlations(daily(**closes, SOL=walk(other)), min_overlap=30)
    assert table.highest is not None
    assert (table.highest.first, table.highest.second) == ("BTC/USDT", "ETH/USDT")
    assert table.highest.correlation == pytest.approx(1)
    assert table.find("ADA/USDT", "BTC/USDT") == pytest.approx(-1)
    assert table.average == pytest.approx(sum(pair.correlation for pair in table.pairs) / 6)


def test_too_short_an_overlap_has_no_correlation() -> None:
    closes = {"BTC": walk(random_returns(60, seed=1)), "NEW": [NAN] * 31 + walk(random_returns(29, seed=2))}
    assert calc_correlations(daily(**closes), min_overlap=30).pairs == ()
    assert calc_correlations(daily(**closes), min_overlap=29).pairs[0].days == 29


@pytest.mark.parametrize("flat", [[1.0] * 61, walk([0.01] * 60)])
def test_a_price_whose_return_never_changes_has_no_correlation(flat: list[float]) -> None:
    table = calc_correlations(daily(BTC=walk(random_returns(60, seed=1)), USDC=flat), min_overlap=30)
    assert (table.pairs, table.highest, table.average) == ((), None, None)


def test_a_single_holding_has_no_pair() -> None:
    assert calc_correlations(daily(BTC=walk(random_returns(60, seed=1))), min_overlap=30).highest is None
