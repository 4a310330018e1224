"""Target weights add up, whatever is held and whatever weights are given."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.allocation.targets import TargetRules, calc_targets
from lib.errors import SettingsError
from lib.portfolio.money import EXACT
from tests.allocation.samples import ALTS, MAINS, PAIR, TARGETS


def test_mains_and_alts_get_half_each_of_what_is_outside_the_reserve() -> None:
    targets = calc_targets(TARGETS)
    assert targets.cash == Decimal("0.2")
    assert sum(targets.assets[name] for name in MAINS) == Decimal("0.4")
    assert sum(targets.assets[name] for name in ALTS) == Decimal("0.4")
    assert f"{targets.assets['BTC']:.10f} {targets.assets['ADA']:.10f}" == "0.1333333333 0.0571428571"


def test_what_is_held_besides_and_stays_comes_off_before_the_split() -> None:
    targets = calc_targets(PAIR, Decimal("0.3"))
    assert targets.assets == {"BTC": Decimal("0.25"), "SOL": Decimal("0.25")}
    assert (targets.other, targets.cash) == (Decimal("0.3"), Decimal("0.2"))


def test_where_it_leaves_no_room_for_the_reserve_nothing_is_invested_and_the_rest_is_cash() -> None:
    targets = calc_targets(PAIR, Decimal("0.9"))
    assert set(targets.assets.values()) == {0}
    assert targets.cash == Decimal("0.1")


def test_own_weights_count_within_the_group_only() -> None:
    rules = replace(TARGETS, weights={"BTC": Decimal(2), "BNB": Decimal(0), "ADA": Decimal(8)})
    shares = rules.calc_shares()
    assert shares["BNB"] == 0
    assert (shares["BTC"], shares["ETH"]) == (Decimal("0.333333333333333333"), Decimal("0.166666666666666667"))
    assert shares["ADA"] == pytest.approx(Decimal(4) / 14)


def test_an_empty_group_leaves_all_to_the_other_one() -> None:
    assert TargetRules((), ("SOL", "ADA")).calc_shares() == {"SOL": Decimal("0.5"), "ADA": Decimal("0.5")}
    assert TargetRules(("BTC",), ()).calc_shares() == {"BTC": 1}


@given(
    st.lists(st.decimals(0, 50, places=3), min_size=3, max_size=3).filter(any),
    st.decimals(0, 1, places=6),
    st.decimals(0, "0.99", places=6),
    st.decimals(0, 1, places=18),
)
def test_weights_add_up_to_the_last_digit(
    weights: list[Decimal], mains: Decimal, reserve: Decimal, kept: Decimal
) -> None:
    rules = TargetRules(
        MAINS,
        ALTS,
        mains_ratio=mains,
        cash_reserve_ratio=reserve,
        weights=dict(zip(MAINS, weights, strict=True)),
    )
    targets = calc_targets(rules, kept)
    with localcontext(EXACT):
        assert sum(rules.calc_shares().values()) == 1
        assert sum(targets.assets.values()) + targets.other + targets.cash == 1
    assert min(*targets.assets.values(), targets.cash) >= 0
    assert targets.cash >= min(reserve, 1 - kept)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mains_ratio": Decimal("1.1")}, "share of the mains"),
        ({"cash_reserve_ratio": Decimal(1)}, "cash reserve"),
        ({"weights": {"DOGE": Decimal(1)}}, "also DOGE"),
        ({"weights": {"BTC": Decimal(-1)}}, "BTC was -1"),
        ({"weights": {"BTC": Decimal("NaN")}}, "BTC was NaN"),
        ({"weights": dict.fromkeys(MAINS, Decimal(0))}, "Every weight of the mains is 0"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        replace(TARGETS, **wrong)
