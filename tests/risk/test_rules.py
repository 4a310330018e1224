"""Which rule makes an account's risk what."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import SettingsError
from lib.portfolio.state import AccountState
from lib.risk.rules import Cause, FiredRule, RiskAssessment, RiskLevel, RiskLimits, Rule, assess_risk, describe_rule
from tests.risk.samples import hold

LIMITS = RiskLimits()
AMOUNTS = st.decimals("0", "1e9", places=8)
SPREAD = {f"A{number}": "850" for number in range(10)}  # 8 500 in ten equal parts


def assess(state: AccountState) -> RiskAssessment:
    return assess_risk(state, LIMITS)


def test_exposure_above_eighty_percent_is_high_with_its_number_and_limit() -> None:
    assessment = assess(hold("1500", **SPREAD))
    assert assessment.level is RiskLevel.HIGH
    assert assessment.fired == (FiredRule(Rule.EXPOSURE, RiskLevel.HIGH, Decimal("0.85"), Decimal("0.80")),)
    assert describe_rule(assessment.fired[0], "USDT") == "exposure 85.00 % of equity is above 80 %"


@pytest.mark.parametrize(
    ("cash", "held", "level"),
    [
        ("10000", {}, RiskLevel.NONE),
        ("9999", {"A": "1"}, RiskLevel.LOW),
        ("5000", {f"A{n}": "1000" for n in range(5)}, RiskLevel.LOW),  # at the limit is not above it
        ("4999.99", {**{f"A{n}": "1000" for n in range(5)}, "B": "0.01"}, RiskLevel.MEDIUM),
        ("2000", {f"A{n}": "2000" for n in range(4)}, RiskLevel.MEDIUM),  # 80 % and 20 % each, exactly
        ("1999.99", {**{f"A{n}": "2000" for n in range(4)}, "B": "0.01"}, RiskLevel.HIGH),
    ],
)
def test_a_rule_fires_above_its_limit_and_not_at_it(cash: str, held: dict[str, str], level: RiskLevel) -> None:
    assert assess(hold(cash, **held)).level is level


@pytest.mark.parametrize(
    ("pnl", "level", "limit"),
    [("-500", RiskLevel.LOW, None), ("-500.01", RiskLevel.MEDIUM, "0.05"), ("-1000.01", RiskLevel.HIGH, "0.10")],
)
def test_an_unrealized_loss_is_measured_against_equity(pnl: str, level: RiskLevel, limit: str | None) -> None:
    assessment = assess(hold("9000", SOL="1000", pnl=pnl))
    assert assessment.level is level
    assert [(one.rule, one.limit) for one in assessment.fired] == ([(Rule.LOSS, Decimal(limit))] if limit else [])


def test_an_unrealized_profit_is_no_loss() -> None:
    assessment = assess(hold("9000", SOL="1000", pnl="900"))
    assert (assessment.loss_ratio, assessment.level) == (Decimal(0), RiskLevel.LOW)


def test_every_position_above_a_fifth_is_named_largest_first() -> None:
    assessment = assess(hold("3000", SOL="3000", BTC="4000"))
    positions = [(one.symbol, one.value) for one in assessment.fired if one.rule is Rule.POSITION]
    assert positions == [("BTC/USDT", Decimal("0.4")), ("SOL/USDT", Decimal("0.3"))]
    assert describe_rule(assessment.fired[0], "USDT") == "BTC/USDT 40.00 % of equity is above 20 %"


def test_the_highest_level_comes_first() -> None:
    fired = assess(hold("4500", SOL="5500", pnl="-1200")).fired
    assert [(one.rule, one.level.value) for one in fired] == [
        (Rule.LOSS, "HIGH"),
        (Rule.POSITION, "HIGH"),
        (Rule.EXPOSURE, "MEDIUM"),
    ]


def test_what_is_hardly_above_a_limit_does_not_look_equal_to_it() -> None:
    (fired,) = assess(hold("1999.9999", **{f"A{n}": "800.00001" for n in range(10)})).fired
    assert describe_rule(fired, "USDT") == "exposure 80.01 % of equity is above 80 %"


def test_deposited_assets_without_a_position_count_as_exposure() -> None:
    assessment = assess(hold("1000", other="BTC=9000"))
    assert (assessment.level, assessment.exposure_ratio) == (RiskLevel.HIGH, Decimal("0.9"))


def test_a_deposited_asset_is_limited_as_a_position_is() -> None:
    assessment = assess(hold("7000", other="BTC=3000"))
    assert [(one.rule, one.symbol, one.value) for one in assessment.fired] == [
        (Rule.POSITION, "BTC/USDT", Decimal("0.3"))
    ]


def test_what_is_deposited_beyond_a_position_counts_with_it() -> None:
    assessment = assess(hold("9000", SOL="1000", other="SOL=9000"))  # 10 SOL bought, 90 deposited
    (fired,) = [one for one in assessment.fired if one.rule is Rule.POSITION]
    assert describe_rule(fired, "USDT") == "SOL/USDT 52.64 % of equity is above 20 %"  # 10,000 of 19,000
    assert assessment.shares == {"SOL/USDT": fired.value}


def test_a_position_without_a_price_is_medium_at_least_and_named() -> None:
    assessment = assess(hold("10000", unpriced="SOL/USDT"))
    assert assessment.level is RiskLevel.MEDIUM
    assert assessment.unpriced_positions == ("SOL/USDT",)
    assert describe_rule(assessment.fired[0], "USDT") == ("1 position without a price: risk is at least what is shown")


def test_a_position_without_a_price_hides_no_rule_that_fires() -> None:
    assert assess(hold("1000", BTC="9000", unpriced="SOL/USDT")).level is RiskLevel.HIGH


def test_an_asset_that_nobody_trades_is_named_and_fires_nothing() -> None:
    assessment = assess(hold("10000", unpriced="AIRDROP"))
    assert (assessment.level, assessment.unpriced_assets) == (RiskLevel.NONE, ("AIRDROP",))


@pytest.mark.parametrize("cash", ["-100", "-250"])
def test_without_equity_whatever_is_held_is_high(cash: str) -> None:
    assessment = assess(hold(cash, SOL="100"))
    assert assessment.level is RiskLevel.HIGH
    assert (assessment.exposure_ratio, assessment.loss_ratio, assessment.shares) == (None, None, {})
    equity = Decimal(cash) + 100
    assert describe_rule(assessment.fired[0], "USDT") == f"equity is {equity:,.2f} USDT while something is held"


def test_when_all_there_is_has_no_price_risk_is_high() -> None:
    assert assess(hold("0", unpriced="SOL/USDT")).high_causes == {Cause(Rule.NO_EQUITY)}


@pytest.mark.parametrize("cash", ["0", "-1"])
def test_an_empty_account_has_no_risk(cash: str) -> None:
    assert assess(hold(cash)).level is RiskLevel.NONE


def test_limits_are_options() -> None:
    assert assess_risk(hold("5500", SOL="4500"), RiskLimits(high_position=Decimal("0.45"))).level is RiskLevel.LOW


@pytest.mark.parametrize(
    "limits", [{"high_loss": Decimal(0)}, {"medium_exposure": Decimal("0.9")}, {"high_position": Decimal("NaN")}]
)
def test_contradictory_limits_are_refused(limits: dict[str, Decimal]) -> None:
    with pytest.raises(SettingsError, match="limit"):
        RiskLimits(**limits)


@given(cash=AMOUNTS, held=AMOUNTS, bought=AMOUNTS)
def test_buying_more_of_what_is_held_never_lowers_the_level(cash: Decimal, held: Decimal, bought: Decimal) -> None:
    spent = min(cash, bought)
    before = hold(str(cash), SOL=str(held))
    after = replace(before, cash_free=cash - spent, market_values={"SOL/USDT": held + spent})
    assert assess(after).level.rank >= assess(before).level.rank


@given(cash=AMOUNTS, held=AMOUNTS, pnl=st.decimals("-1e9", "1e9", places=8), more=AMOUNTS)
def test_a_larger_loss_never_lowers_the_level(cash: Decimal, held: Decimal, pnl: Decimal, more: Decimal) -> None:
    before = hold(str(cash), SOL=str(held), pnl=str(pnl))
    assert assess(replace(before, unrealized_pnl=pnl - more)).level.rank >= assess(before).level.rank


@given(cash=AMOUNTS, held=AMOUNTS, pnl=st.decimals("-1e9", "1e9", places=8), factor=st.decimals("0.5", "1", places=4))
def test_tighter_limits_never_lower_the_level(cash: Decimal, held: Decimal, pnl: Decimal, factor: Decimal) -> None:
    state = hold(str(cash), SOL=str(held), pnl=str(pnl))
    assert assess_risk(state, LIMITS.scale(factor)).level.rank >= assess(state).level.rank


@given(values=st.lists(AMOUNTS, min_size=1, max_size=6), cash=AMOUNTS)
def test_every_level_above_low_has_a_rule_that_says_why(values: list[Decimal], cash: Decimal) -> None:
    assessment = assess(hold(str(cash), **{f"A{n}": str(value) for n, value in enumerate(values)}))
    highest = max((one.level.rank for one in assessment.fired), default=1)
    assert assessment.level.rank == highest
