"""What holds of every rebalance plan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from lib.allocation.holdings import Asset, Portfolio
from lib.allocation.plan import RebalancePlan, RebalanceRules, plan_rebalance
from lib.allocation.targets import TargetRules
from lib.market.symbols import SymbolStatus
from lib.portfolio.fills import Side
from lib.portfolio.stores import Listing
from tests.allocation.samples import hold
from tests.portfolio.samples import START

NAMES = ("BTC", "ETH", "SOL", "ADA", "DOT", "DOGE")
RULES = TargetRules(("BTC", "ETH"), ("SOL", "ADA", "DOT"))
MONEY = st.decimals(0, 100_000, places=2)


@st.composite
def markets(draw: st.DrawFn) -> tuple[Portfolio, dict[str, Listing]]:
    """An account of at least 1 000 with steps worth less than 0.03 % of it; some markets do not trade."""
    assets, listings = [], {}
    for name in NAMES:
        price = draw(st.decimals("0.01", "90000", places=2))
        step = Decimal(1).scaleb(-(price.adjusted() + draw(st.integers(1, 3))))  # worth less than 1
        quantity = (draw(MONEY) / price).quantize(Decimal("1e-8"))
        locked = draw(st.sampled_from([Decimal(0), Decimal(0), quantity / 3, quantity]))
        is_quoted = draw(st.sampled_from([True, True, True, False]))
        assets.append(Asset(name, quantity, quantity - locked, price, START, is_quoted=is_quoted))
        status = draw(st.sampled_from([SymbolStatus.TRADING] * 4 + [SymbolStatus.HALTED]))
        listings[f"{name}/USDT"] = Listing(status, step, Decimal("0.01"), step, Decimal(5))
    cash = draw(MONEY) + 4000
    return hold(str(cash), *assets, locked=str(draw(st.sampled_from([0, 0, 500])))), listings


@st.composite
def rules(draw: st.DrawFn) -> RebalanceRules:
    targets = replace(
        RULES,
        mains_ratio=draw(st.decimals(0, 1, places=2)),
        cash_reserve_ratio=draw(st.decimals(0, "0.5", places=2)),
        weights={"ETH": draw(st.decimals(0, 3, places=1))},
        sells_others=draw(st.booleans()),
    )
    return RebalanceRules(targets, fee_ratio=draw(st.decimals(0, "0.003", places=4)))


def execute(portfolio: Portfolio, plan: RebalancePlan) -> Portfolio:
    """Fill every leg at its reference price, worked out apart from the plan's own sums."""
    after = portfolio
    for leg in plan.trades:
        assert leg.price is not None
        sign = 1 if leg.side is Side.BUY else -1
        paid = -sign * leg.quantity * leg.price - leg.fee_quote
        after = after.move(leg.base, sign * leg.quantity, paid)
    return after


@given(markets(), rules())
@settings(max_examples=300)
def test_a_plan_can_be_executed_and_leaves_nothing_to_plan(
    market: tuple[Portfolio, dict[str, Listing]], given_rules: RebalanceRules
) -> None:
    portfolio, listings = market
    plan = plan_rebalance(portfolio, listings, given_rules)
    cash = portfolio.cash_free
    for leg in plan.trades:
        listing, asset = listings[leg.symbol], portfolio.assets[leg.base]
        assert leg.price is not None and listing.quantity_step and listing.min_quantity and listing.min_notional
        assert leg.quantity % listing.quantity_step == 0
        assert leg.quantity >= listing.min_quantity and leg.quantity * leg.price >= listing.min_notional
        assert listing.status is SymbolStatus.TRADING and asset.is_quoted
        assert leg.fee_quote == leg.quantity * leg.price * given_rules.fee_ratio
        cash += leg.cash_change
        if leg.side is Side.SELL:
            assert leg.quantity <= asset.free
        else:
            assert cash >= plan.reserve_quote
    assert [leg.side for leg in plan.legs] == sorted((leg.side for leg in plan.legs), reverse=True)
    after = execute(portfolio, plan)
    assert after == replace(portfolio, assets=after.assets, cash_free=cash)
    assert after.equity == portfolio.equity - plan.fees_quote == plan.after.equity
    assert plan_rebalance(after, listings, given_rules).trades == ()


@given(markets(), rules())
@settings(max_examples=200)
def test_what_is_traded_ends_within_a_step_of_its_target_unless_its_leg_says_why_not(
    market: tuple[Portfolio, dict[str, Listing]], given_rules: RebalanceRules
) -> None:
    portfolio, listings = market
    plan = plan_rebalance(portfolio, listings, given_rules)
    after = execute(portfolio, plan)
    for leg in plan.trades:
        step = listings[leg.symbol].quantity_step
        assert leg.price is not None and step is not None
        if leg.detail:
            continue
        sign = 1 if leg.side is Side.BUY else -1
        target = portfolio.assets[leg.base].value + sign * leg.wanted_quote
        missing = abs(after.assets[leg.base].value - target)
        assert missing <= step * leg.price + leg.wanted_quote * Decimal("0.0005")


@given(markets(), rules())
@settings(max_examples=100)
def test_where_all_can_be_traded_the_account_is_at_its_target(
    market: tuple[Portfolio, dict[str, Listing]], given_rules: RebalanceRules
) -> None:
    """Shares of what is left after the reserve, what stays and the fees that were really paid: each within steps."""
    portfolio, listings = market
    open_assets = {n: replace(a, free=a.quantity, is_quoted=True) for n, a in portfolio.assets.items()}
    portfolio = replace(portfolio, assets=open_assets, cash_locked=Decimal(0))
    listings = {name: replace(one, status=SymbolStatus.TRADING) for name, one in listings.items()}
    plan = plan_rebalance(portfolio, listings, given_rules)
    if not plan.before.off or plan.skipped:
        return
    after = execute(portfolio, plan)
    kept = Decimal(0) if given_rules.targets.sells_others else portfolio.assets["DOGE"].value
    invested = after.equity - plan.reserve_quote - kept
    steps = {
        name[:-5]: (one.quantity_step or 0) * (open_assets[name[:-5]].price or 0) for name, one in listings.items()
    }
    dust = sum(steps.values())  # what is held below a step cannot be sold, and does not pay for buys
    for name, share in given_rules.targets.calc_shares().items():
        assert abs(after.assets[name].value - invested * share) <= steps[name] + dust


@given(markets(), rules())
@settings(max_examples=50)
def test_the_same_account_gives_the_same_plan_whatever_the_order(
    market: tuple[Portfolio, dict[str, Listing]], given_rules: RebalanceRules
) -> None:
    portfolio, listings = market
    turned = replace(portfolio, assets=dict(reversed(list(portfolio.assets.items()))))
    one, other = (plan_rebalance(account, listings, given_rules) for account in (portfolio, turned))
    assert (one.legs, one.plan_hash) == (other.legs, other.plan_hash)
