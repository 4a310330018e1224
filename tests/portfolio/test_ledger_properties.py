"""What holds for the ledger whatever the fills are."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from lib.portfolio.fills import BookedFill, Side
from lib.portfolio.ledger import build_ledger
from lib.portfolio.money import EXACT
from tests.portfolio.samples import book, make_fill

prices = st.decimals("0.00000001", "99999", places=8)
quantities = st.decimals("0.00000001", "9999", places=8)


@st.composite
def booked_fills(draw: st.DrawFn) -> BookedFill:
    symbol = draw(st.sampled_from(["SOL/USDT", "BNB/USDT", "BTC/USDT"]))
    quantity = draw(quantities)
    fee = draw(st.decimals("0", "0.01", places=8))
    asset = draw(st.sampled_from(["USDT", "BNB", symbol.split("/")[0]]))
    if asset == symbol.split("/")[0]:
        fee = min(fee, quantity / 2)
    fill = make_fill(
        draw(st.sampled_from(["buy", "sell"])),
        str(quantity),
        str(draw(prices)),
        f"{fee} {asset}",
        symbol,
        draw(st.integers(1, 60)),
    )
    third = asset not in ("USDT", fill.base)
    return book(fill, str(draw(prices)) if third and fee else "0" if third else None, "0.01")


histories = st.lists(booked_fills(), max_size=25, unique_by=lambda booked: booked.fill.key)


def quote_received(fills: list[BookedFill]) -> Decimal:
    """Cash that came in minus cash that went out: only notionals and fees in quote move it."""
    cash = Decimal(0)
    for fill in (booked.fill for booked in fills):
        notional = fill.price * fill.quantity
        cash += notional if fill.side is Side.SELL else -notional
        cash -= fill.fee if fill.fee_asset == "USDT" else Decimal(0)
    return cash


@given(histories)
def test_no_unit_of_quote_appears_or_vanishes(fills: list[BookedFill]) -> None:
    ledger = build_ledger(fills)
    with localcontext(EXACT):
        realized = sum((p.realized_pnl_quote for p in ledger.positions), Decimal(0))
        invested = sum((p.cost_quote for p in ledger.positions), Decimal(0))
        unmatched = sum((u.proceeds_quote for u in ledger.unmatched), Decimal(0))
        assert realized - invested + unmatched == quote_received(fills)


@given(histories)
def test_no_unit_of_an_asset_appears_or_vanishes(fills: list[BookedFill]) -> None:
    ledger = build_ledger(fills)
    with localcontext(EXACT):
        for asset in ("SOL", "BNB", "BTC"):
            bought = Decimal(0)
            for fill in (booked.fill for booked in fills):
                if fill.base == asset:
                    bought += fill.quantity if fill.side is Side.BUY else -fill.quantity
                if fill.fee_asset == asset:
                    bought -= fill.fee
            of_asset = [p.quantity for p in ledger.positions if p.symbol == f"{asset}/USDT"]
            beyond = [u.quantity for u in ledger.unmatched if u.symbol == f"{asset}/USDT"]
            assert sum(of_asset, Decimal(0)) - sum(beyond, Decimal(0)) == bought


@given(histories)
def test_quantities_and_costs_are_never_negative_and_one_position_is_open_at_a_time(fills: list[BookedFill]) -> None:
    ledger = build_ledger(fills)
    assert all(p.quantity >= 0 and p.cost_quote >= 0 for p in ledger.positions)
    open_symbols = [p.symbol for p in ledger.positions if p.is_open]
    assert len(open_symbols) == len(set(open_symbols))
    assert all(p.quantity > 0 for p in ledger.positions if p.is_open)
    assert len({(p.symbol, p.opened_by) for p in ledger.positions}) == len(ledger.positions)


@given(histories, st.randoms(use_true_random=False))
def test_order_and_repetition_of_the_fills_do_not_matter(fills: list[BookedFill], chance: random.Random) -> None:
    delivered = fills + chance.choices(fills, k=5) if fills else []
    chance.shuffle(delivered)
    built, again = build_ledger(fills), build_ledger(delivered)
    assert again.positions == built.positions
    assert again.unmatched == built.unmatched


@given(histories, st.integers(0, 25))
def test_going_on_from_the_newest_positions_equals_building_anew(fills: list[BookedFill], cut: int) -> None:
    ordered = sorted(fills, key=lambda booked: booked.fill.sequence)
    earlier = build_ledger(ordered[:cut])
    newest = {position.symbol: position for position in earlier.positions}  # the last one of each symbol
    later = build_ledger(ordered[cut:], newest.values())
    older = set(earlier.positions) - set(newest.values())
    assert older | set(later.positions) == set(build_ledger(fills).positions)
    assert earlier.unmatched + later.unmatched == build_ledger(fills).unmatched
