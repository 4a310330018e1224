"""The current allocation against the target, and what is off."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from lib.allocation.drift import Allocation, measure_allocation
from lib.allocation.holdings import Portfolio
from lib.allocation.targets import TargetRules
from tests.allocation.samples import PAIR, asset, hold

BAND = Decimal("0.05")


def measure(portfolio: Portfolio, rules: TargetRules = PAIR) -> Allocation:
    return measure_allocation(portfolio, rules, BAND)


def off(portfolio: Portfolio, rules: TargetRules = PAIR) -> dict[str, str]:
    """What is off, in points of equity."""
    return {one.name: f"{100 * one.off:+.2f}" for one in measure(portfolio, rules).off}


def test_a_balanced_account_is_not_off() -> None:
    assert off(hold("2000", asset("BTC", "0.1", "40000"), asset("SOL", "40", "100"))) == {}


def test_buckets_and_assets_are_off_by_their_points_of_equity() -> None:
    account = hold("1000", asset("BTC", "0.1", "60000"), asset("SOL", "30", "100"))
    assert off(account) == {
        "mains": "+20.00",
        "alts": "-10.00",
        "cash": "-10.00",
        "BTC": "+20.00",
        "SOL": "-10.00",
    }


def test_exactly_at_the_edge_of_the_band_nothing_is_off() -> None:
    at_edge = hold("2500", asset("BTC", "0.1", "35000"), asset("SOL", "40", "100"))
    assert off(at_edge) == {}
    beyond = hold("2501", asset("BTC", "0.1", "34990"), asset("SOL", "40", "100"))
    assert set(off(beyond)) == {"mains", "cash", "BTC"}


def test_an_asset_may_be_off_where_its_bucket_is_not() -> None:
    rules = TargetRules(("BTC", "ETH"), ("SOL",))
    account = hold("2000", asset("BTC", "0.04", "100000"), asset("ETH", "0", "3000"), asset("SOL", "40", "100"))
    assert off(account, rules) == {"BTC": "+20.00", "ETH": "-20.00"}


def test_the_shares_are_of_the_whole_whatever_the_order_of_the_assets() -> None:
    one, other = asset("BTC", "0.1", "60000"), asset("SOL", "30", "100")
    assert measure(hold("1000", one, other)) == measure(hold("1000", other, one))


def test_what_is_held_besides_and_stays_is_no_drift() -> None:
    account = hold("2000", asset("BTC", "0.1", "25000"), asset("SOL", "25", "100"), asset("DOGE", "3000", "1"))
    allocation = measure(account)
    assert allocation.off == ()
    assert [(one.name, one.ratio, one.target) for one in allocation.assets][-1] == (
        "DOGE",
        Decimal("0.3"),
        Decimal("0.3"),
    )


def test_what_is_held_besides_has_target_zero_when_it_is_to_be_sold() -> None:
    account = hold("2000", asset("BTC", "0.1", "25000"), asset("SOL", "25", "100"), asset("DOGE", "3000", "1"))
    selling = replace(PAIR, sells_others=True)
    assert off(account, selling) == {
        "mains": "-15.00",
        "alts": "-15.00",
        "other": "+30.00",
        "BTC": "-15.00",
        "SOL": "-15.00",
        "DOGE": "+30.00",
    }


def test_cash_that_is_locked_in_orders_is_cash() -> None:
    account = hold("500", asset("BTC", "0.1", "40000"), asset("SOL", "40", "100"), locked="1500")
    assert off(account) == {}


def test_buckets_add_up_to_the_whole() -> None:
    account = hold("77", asset("BTC", "0.3", "7"), asset("SOL", "3", "11"), asset("DOGE", "1", "13"))
    buckets = measure(account).buckets
    assert sum(one.ratio for one in buckets) == 1
    assert sum(one.target for one in buckets) == 1
