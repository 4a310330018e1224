"""Rebalance plans worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from lib.allocation.holdings import Portfolio
from lib.allocation.legs import SkipReason
from lib.allocation.plan import RebalancePlan, RebalanceRules, plan_rebalance
from lib.errors import SettingsError
from lib.market.symbols import SymbolStatus
from lib.portfolio.stores import Listing
from tests.allocation.samples import PAIR, TARGETS, asset, hold, listing, pair_rules
from tests.portfolio.samples import START

BOTH = {"BTC/USDT": listing("0.00001"), "SOL/USDT": listing("0.001")}
IN_CASH = hold("10000", asset("BTC", "0", "50000"), asset("SOL", "0", "100"))
TOO_MUCH_BTC = hold("2000", asset("BTC", "0.16", "50000"), asset("SOL", "0", "100"))


def plan(
    portfolio: Portfolio, rules: RebalanceRules | None = None, listings: dict[str, Listing] | None = None
) -> RebalancePlan:
    return plan_rebalance(portfolio, BOTH | (listings or {}), rules or pair_rules())


def trades(made: RebalancePlan) -> list[str]:
    """As a person would order it: "sell 0.08 BTC"."""
    return [f"{leg.side} {leg.quantity.normalize():f} {leg.base}" for leg in made.trades]


def skipped(made: RebalancePlan) -> dict[str, SkipReason | None]:
    return {leg.base: leg.skipped for leg in made.skipped}


def test_cash_above_the_reserve_is_invested_half_and_half() -> None:
    made = plan(IN_CASH)
    assert trades(made) == ["buy 0.08 BTC", "buy 40 SOL"]
    assert made.reserve_quote == 2000
    assert made.after.off == ()
    assert made.priced_at == START


def test_a_sell_pays_for_the_buy_and_comes_first() -> None:
    made = plan(TOO_MUCH_BTC)
    assert trades(made) == ["sell 0.08 BTC", "buy 40 SOL"]
    assert [leg.number for leg in made.legs] == [1, 2]
    assert [one.value for one in made.after.buckets] == [4000, 4000, 0, 2000]


def test_fees_come_off_before_the_split_so_that_both_targets_are_met() -> None:
    """Invested I = 8 000 - 1 % x I, so I = 7 920.79, and each half is 3 960.396: 0.0792 BTC, 39.603 SOL."""
    made = plan(IN_CASH, pair_rules("0.01"))
    assert trades(made) == ["buy 0.0792 BTC", "buy 39.603 SOL"]
    assert made.fees_quote == Decimal("3960") / 100 + Decimal("3960.3") / 100
    assert made.after.equity == 10_000 - made.fees_quote
    assert made.after.buckets[-1].value >= 2000


def test_inside_the_bands_nothing_is_traded() -> None:
    made = plan(hold("2400", asset("BTC", "0.072", "50000"), asset("SOL", "40", "100")))
    assert made.legs == ()
    assert made.after == made.before


def test_when_something_is_off_all_is_brought_to_its_target_but_for_what_is_not_worth_a_trade() -> None:
    account = hold(
        "8000",
        asset("BTC", "0.1", "40000"),
        asset("ETH", "0.9", "1000"),
        asset("BNB", "0", "500"),
        asset("SOL", "0", "9"),
    )
    rules = pair_rules(
        targets=replace(TARGETS, mains=("BTC", "ETH", "BNB"), alts=("SOL",), mains_ratio=Decimal("0.75"))
    )
    listings = {f"{name}/USDT": listing("0.001") for name in ("BTC", "ETH", "BNB", "SOL")}
    made = plan(account, rules, listings)  # 12 900 in all; 2 580 each
    assert trades(made) == ["sell 0.036 BTC", "buy 5.16 BNB", "buy 286.666 SOL", "buy 1.68 ETH"]
    close = plan(account, replace(rules, smallest_leg=Decimal("0.15")), listings)
    assert skipped(close) == {"BTC": SkipReason.TOO_SMALL, "ETH": SkipReason.TOO_SMALL}


def test_reserve_that_is_short_is_refilled_by_selling() -> None:
    made = plan(hold("0", asset("BTC", "0.1", "50000"), asset("SOL", "50", "100")))
    assert trades(made) == ["sell 0.02 BTC", "sell 10 SOL"]


def test_a_halted_symbol_is_skipped_and_the_buys_are_bounded_by_the_cash_there_is() -> None:
    account = replace(TOO_MUCH_BTC, cash_free=Decimal(3000))
    halted = {"BTC/USDT": listing("0.00001", status=SymbolStatus.HALTED)}
    made = plan(account, listings=halted)  # reserve 2 200 of 11 000
    assert skipped(made) == {"BTC": SkipReason.NOT_TRADING}
    assert trades(made) == ["buy 8 SOL"]
    assert made.trades[0].detail == "Cut to 18.2 %: 800.00 USDT of cash is left for all buys."


def test_without_cash_above_the_reserve_nothing_is_bought() -> None:
    halted = {"BTC/USDT": listing(status=SymbolStatus.HALTED)}
    made = plan(replace(TOO_MUCH_BTC, cash_free=Decimal(1000)), listings=halted)
    assert skipped(made) == {"BTC": SkipReason.NOT_TRADING, "SOL": SkipReason.NO_CASH}
    assert made.skipped[1].detail == "No free cash above the reserve; 800.00 USDT is missing to the reserve."


def test_buys_share_what_cash_there_is_by_the_same_factor() -> None:
    rules = pair_rules(targets=replace(PAIR, alts=("SOL", "ADA")))
    account = hold("2600", asset("BTC", "0.08", "80000"), asset("SOL", "0", "100"), asset("ADA", "0", "1"))
    made = plan(account, rules, {"BTC/USDT": listing(status=SymbolStatus.DELISTED), "ADA/USDT": listing("0.1")})
    assert trades(made) == ["buy 400 ADA", "buy 4 SOL"]  # 800 of cash for twice 1 800


def test_a_buy_below_the_minimum_leaves_its_part_to_the_others() -> None:
    rules = pair_rules(targets=replace(PAIR, alts=("SOL", "ADA"), weights={"ADA": Decimal("0.25")}), smallest="0.001")
    account = hold("2000", asset("BTC", "0.08", "90000"), asset("SOL", "0", "100"), asset("ADA", "0", "1"))
    listings = {
        "BTC/USDT": listing(status=SymbolStatus.HALTED),
        "SOL/USDT": listing("0.001"),
        "ADA/USDT": listing("0.1", notional="50"),
    }
    made = plan(account, rules, listings)  # 160 of cash: 32 for ADA were too little
    assert skipped(made) == {"BTC": SkipReason.NOT_TRADING, "ADA": SkipReason.BELOW_MIN_NOTIONAL}
    assert trades(made) == ["buy 1.6 SOL"]


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"SOL/USDT": listing("0.001", quantity="41")}, SkipReason.BELOW_MIN_QUANTITY),
        ({"SOL/USDT": listing("0.001", notional="4001")}, SkipReason.BELOW_MIN_NOTIONAL),
        ({"SOL/USDT": replace(listing(), quantity_step=None)}, SkipReason.NO_FILTERS),
        ({"SOL/USDT": listing(status=SymbolStatus.DELISTED)}, SkipReason.NOT_TRADING),
    ],
)
def test_what_the_exchange_would_refuse_is_skipped_and_the_rest_is_traded(
    filters: dict[str, Listing], reason: SkipReason
) -> None:
    made = plan(IN_CASH, listings=filters)
    assert skipped(made) == {"SOL": reason}
    assert trades(made) == ["buy 0.08 BTC"]
    assert made.skipped[0].wanted_quote == 4000


def test_an_unknown_symbol_and_one_without_a_price_are_skipped() -> None:
    unpriced = hold("10000", asset("BTC", "0", "50000"), asset("SOL", "0", None))
    assert skipped(plan(unpriced)) == {"SOL": SkipReason.NO_PRICE}
    made = plan_rebalance(IN_CASH, {"BTC/USDT": listing("0.00001")}, pair_rules())
    assert skipped(made) == {"SOL": SkipReason.NO_FILTERS}


def test_what_is_held_at_an_old_price_counts_and_is_not_sold() -> None:
    account = hold("2000", asset("BTC", "0.16", "50000", is_quoted=False), asset("SOL", "0", "100"))
    assert skipped(plan(account)) == {"BTC": SkipReason.NO_PRICE, "SOL": SkipReason.NO_CASH}


def test_what_is_locked_in_orders_is_not_sold() -> None:
    account = hold("2000", asset("BTC", "0.16", "50000", locked="0.1"), asset("SOL", "0", "100"))
    made = plan(account)
    assert trades(made) == ["sell 0.06 BTC", "buy 30 SOL"]
    assert made.trades[0].detail == "0.1 BTC is locked in open orders; cancel them to sell more."
    all_locked = hold("2000", asset("BTC", "0.16", "50000", locked="0.16"), asset("SOL", "0", "100"))
    assert skipped(plan(all_locked)) == {"BTC": SkipReason.LOCKED, "SOL": SkipReason.NO_CASH}


def test_locked_cash_is_not_spent() -> None:
    account = hold("5000", asset("BTC", "0", "50000"), asset("SOL", "0", "100"), locked="5000")
    assert trades(plan(account)) == ["buy 0.03 BTC", "buy 15 SOL"]  # 3 000 above the reserve


def test_what_is_held_besides_stays_unless_it_is_to_be_sold() -> None:
    account = hold("6000", asset("BTC", "0", "50000"), asset("SOL", "0", "100"), asset("DOGE", "4000", "1"))
    doge = {"DOGE/USDT": listing("1")}
    assert trades(plan(account, listings=doge)) == ["buy 0.04 BTC", "buy 20 SOL"]
    selling = pair_rules(targets=replace(PAIR, sells_others=True))
    assert trades(plan(account, selling, doge)) == ["sell 4000 DOGE", "buy 0.08 BTC", "buy 40 SOL"]


def test_steps_are_kept_sells_up_and_buys_down() -> None:
    account = hold("0", asset("BTC", "1", "7"), asset("SOL", "0", "3"))
    coarse = {"BTC/USDT": listing("0.1", notional="0"), "SOL/USDT": listing("0.1", notional="0")}
    made = plan(account, listings=coarse)  # 2.8 each: sell 4.2 / 7 = 0.6, buy 2.8 / 3 = 0.933
    assert trades(made) == ["sell 0.6 BTC", "buy 0.9 SOL"]
    short = plan(replace(account, assets={**account.assets, "BTC": asset("BTC", "1.05", "7")}), listings=coarse)
    assert trades(short) == ["sell 0.7 BTC", "buy 0.9 SOL"]  # 0.63 of 1.05, up to the next step


def test_the_hash_names_the_trades_and_nothing_else() -> None:
    made = plan(IN_CASH)
    assert len(made.plan_hash) == 64
    later = replace(IN_CASH, assets={n: replace(a, priced_at=None) for n, a in reversed(list(IN_CASH.assets.items()))})
    assert plan(later).plan_hash == made.plan_hash
    changed = (
        replace(IN_CASH, account="other"),
        replace(IN_CASH, cash_free=Decimal(10_001)),
        replace(IN_CASH, assets={**IN_CASH.assets, "SOL": asset("SOL", "0", "100.01")}),
    )
    assert len({made.plan_hash, *(plan(one).plan_hash for one in changed)}) == 4


def test_the_same_number_written_otherwise_has_the_same_hash() -> None:
    same = replace(IN_CASH, assets={**IN_CASH.assets, "SOL": asset("SOL", "0.000", "100.00")})
    assert plan(same).plan_hash == plan(IN_CASH).plan_hash


def test_rules_without_sense_are_refused() -> None:
    with pytest.raises(SettingsError, match="band"):
        RebalanceRules(PAIR, band=Decimal(0))
    with pytest.raises(SettingsError, match="fee ratio"):
        RebalanceRules(PAIR, fee_ratio=Decimal("0.2"))
