"""Sizing: hand-worked cases, and no cap is ever exceeded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.market.symbols import SymbolStatus
from lib.portfolio.state import AccountState
from lib.portfolio.stores import Listing
from lib.strategy.sizing import Size, SizingRules, Verdict, calc_size, round_levels
from lib.units import EPOCH

SOL = "SOL/USDT"
LISTING = Listing(SymbolStatus.TRADING, Decimal("0.01"), Decimal("0.01"), Decimal("0.01"), Decimal(5))
RULES = SizingRules(
    risk_per_trade_ratio=Decimal("0.01"),
    cash_reserve_ratio=Decimal("0.2"),
    max_position_ratio=Decimal("0.5"),
    fee_ratio=Decimal("0.001"),
)


def make_state(
    cash: str, held: str = "0", other: str = "0", unpriced: tuple[str, ...] = (), deposited: str = "0"
) -> AccountState:
    """An account with free cash, a position in SOL, SOL deposited beyond it, and other assets, in USDT."""
    return AccountState(
        account="demo",
        quote_asset="USDT",
        at=EPOCH,
        cash_free=Decimal(cash),
        cash_locked=Decimal(0),
        market_values={SOL: Decimal(held)} if Decimal(held) else {},
        other_values={asset: Decimal(value) for asset, value in (("SOL", deposited), ("XYZ", other)) if Decimal(value)},
        unpriced=unpriced,
    )


def size(
    state: AccountState,
    price: str = "100",
    stop: str = "95",
    listing: Listing | None = LISTING,
    rules: SizingRules = RULES,
    symbol: str = SOL,
) -> Size:
    return calc_size(symbol, Decimal(price), Decimal(stop), state=state, listing=listing, rules=rules)


def test_the_quantity_loses_the_risked_share_of_equity_at_the_stop() -> None:
    found = size(make_state("10000"))  # 1 % of 10,000 is 100; 100 / (100 - 95) = 20
    assert (found.quantity, found.verdict) == (Decimal("20.00"), Verdict.RISK)
    assert "20 SOL for 2,000.00 USDT" in found.detail
    assert "100.00 USDT at risk" in found.detail


def test_free_cash_after_the_reserve_pays_for_the_fee_too() -> None:
    state = make_state("1000", other="1000")  # reserve 400 of equity 2,000; 600 / (100 x 1.001) = 5.994...
    found = size(state, stop="99.9")  # the risk would allow 200
    assert (found.quantity, found.verdict) == (Decimal("5.99"), Verdict.CASH)


def test_what_is_held_counts_towards_the_largest_position() -> None:
    state = make_state("6000", held="4000")  # half of 10,000 is 5,000; 1,000 are left: 10
    found = size(state, stop="95")
    assert (found.quantity, found.verdict) == (Decimal(10), Verdict.POSITION)
    assert "already held: 4,000.00 USDT" in found.detail


def test_what_was_deposited_counts_towards_the_largest_position() -> None:
    full = size(make_state("4000", deposited="6000"), rules=SizingRules())  # 15 % of 10,000 is 1,500
    assert (full.quantity, full.verdict) == (Decimal(0), Verdict.POSITION_FULL)
    assert "SOL/USDT is held for 6,000.00 USDT" in full.detail
    found = size(make_state("6000", held="1500", deposited="2500"))  # half of 10,000 is 5,000; 1,000 are left: 10
    assert (found.quantity, found.verdict) == (Decimal(10), Verdict.POSITION)
    assert "already held: 4,000.00 USDT" in found.detail


def test_a_position_that_is_full_is_refused_with_its_numbers() -> None:
    found = size(make_state("5000", held="5000"))
    assert (found.quantity, found.verdict) == (Decimal(0), Verdict.POSITION_FULL)
    assert "5,000.00 USDT" in found.detail
    assert "50 %" in found.detail


def test_cash_that_is_all_reserve_is_refused() -> None:
    found = size(make_state("2000", other="8000"))
    assert (found.quantity, found.verdict) == (Decimal(0), Verdict.NO_CASH)
    assert "2,000.00 USDT" in found.detail


def test_the_quantity_is_floored_to_the_exchanges_step() -> None:
    assert size(make_state("10000"), stop="93").quantity == Decimal("14.28")  # 100 / 7 = 14.2857...


def test_less_than_the_smallest_quantity_is_told_with_the_numbers() -> None:
    found = size(make_state("10"), price="100000", stop="95000")
    assert (found.quantity, found.verdict) == (Decimal(0), Verdict.BELOW_MIN_QUANTITY)
    assert "0.00002 SOL" in found.detail
    assert "0.01 SOL" in found.detail


def test_less_than_the_smallest_notional_is_told_with_the_numbers() -> None:
    found = size(make_state("20"))  # 0.2 / 5 = 0.04, worth 4 USDT
    assert (found.quantity, found.verdict) == (Decimal(0), Verdict.BELOW_MIN_NOTIONAL)
    assert "4.00 USDT" in found.detail
    assert "5.00 USDT" in found.detail


@pytest.mark.parametrize("stop", ["100", "101", "0", "-1"])
def test_a_stop_that_is_none_is_refused(stop: str) -> None:
    assert size(make_state("10000"), stop=stop).verdict is Verdict.BAD_STOP


@pytest.mark.parametrize(
    ("listing", "verdict"),
    [
        (None, Verdict.NO_FILTERS),
        (Listing(SymbolStatus.DELISTED, None, None, None, None), Verdict.NO_FILTERS),
        (
            Listing(SymbolStatus.HALTED, Decimal("0.01"), Decimal("0.01"), Decimal("0.01"), Decimal(5)),
            Verdict.NOT_TRADING,
        ),
    ],
)
def test_a_symbol_that_cannot_be_bought_is_refused(listing: Listing | None, verdict: Verdict) -> None:
    assert size(make_state("10000"), listing=listing).verdict is verdict


def test_an_account_without_equity_is_refused() -> None:
    assert size(make_state("0")).verdict is Verdict.NO_EQUITY


def test_a_symbol_paid_in_another_asset_is_refused() -> None:
    assert size(make_state("10000"), symbol="SOL/EUR").verdict is Verdict.OTHER_QUOTE


def test_a_holding_without_a_price_is_refused_since_its_share_is_unknown() -> None:
    assert size(make_state("10000", unpriced=(SOL,))).verdict is Verdict.UNPRICED
    assert size(make_state("10000", unpriced=("SOL",))).verdict is Verdict.UNPRICED


def test_levels_are_rounded_away_from_the_price() -> None:
    stop, target = round_levels(Decimal("100.00"), Decimal("5.001"), Decimal("10.001"), Decimal("0.01"))
    assert (stop, target) == (Decimal("94.99"), Decimal("110.01"))


def test_levels_without_a_step_keep_eight_digits() -> None:
    stop, target = round_levels(Decimal("0.001"), Decimal("0.00012345678"), Decimal("0.0002"), None)
    assert (stop, target) == (Decimal("0.0008765432"), Decimal("0.0012"))


amounts = st.decimals(0, 10**9, places=8)
ratios = st.decimals(0, 1, places=4)


@given(
    cash=amounts,
    held=amounts,
    other=amounts,
    deposited=amounts,
    price=st.decimals("0.00000001", 10**6, places=8),
    stop_share=st.decimals("0.0001", "0.9999", places=4),
    rules=st.builds(
        SizingRules,
        risk_per_trade_ratio=ratios,
        cash_reserve_ratio=ratios,
        max_position_ratio=ratios,
        fee_ratio=st.decimals(0, "0.1", places=4),
    ),
    step=st.sampled_from(["0.00000001", "0.001", "0.5", "1", "1000"]),
    min_notional=st.decimals(0, 100, places=2),
)
def test_no_cap_is_ever_exceeded(
    cash: Decimal,
    held: Decimal,
    other: Decimal,
    deposited: Decimal,
    price: Decimal,
    stop_share: Decimal,
    rules: SizingRules,
    step: str,
    min_notional: Decimal,
) -> None:
    state = make_state(str(cash), str(held), str(other), deposited=str(deposited))
    stop = price * stop_share
    listing = Listing(SymbolStatus.TRADING, Decimal(step), Decimal("0.01"), Decimal(step), min_notional)
    found = calc_size(SOL, price, stop, state=state, listing=listing, rules=rules)
    notional = found.quantity * price
    assert found.quantity % Decimal(step) == 0
    if found.quantity:
        assert found.verdict in (Verdict.RISK, Verdict.CASH, Verdict.POSITION)
        assert found.quantity * (price - stop) <= state.equity * rules.risk_per_trade_ratio
        assert cash - notional * (1 + rules.fee_ratio) >= rules.cash_reserve_ratio * state.equity
        assert held + deposited + notional <= rules.max_position_ratio * state.equity
        assert notional >= min_notional
    else:
        assert found.verdict not in (Verdict.RISK, Verdict.CASH, Verdict.POSITION)
        assert found.detail
