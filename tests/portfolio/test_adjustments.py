"""Coins that come or leave without a fill, worked out by hand; and that a position is what is there, whatever comes."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal, localcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lib.portfolio.adjustments import RETURNED, Adjustment, AdjustmentKind, Opening
from lib.portfolio.fills import BookedFill, Side
from lib.portfolio.ledger import Ledger, Position, build_ledger
from lib.portfolio.money import EXACT
from tests.portfolio.samples import at, book, buy, make_fill, sell

DEPOSIT, WITHDRAWAL, TRADE, OTHER = AdjustmentKind
OPENED = Opening(at(0), {})


def move(kind: AdjustmentKind, quantity: str, value: str, *, number: int, name: str = "") -> Adjustment:
    """``move(WITHDRAWAL, "-4", "440", number=2)``: four SOL, worth 440 then, leave in minute 2."""
    amount = Decimal(quantity)
    worth = Decimal(value) * (1 if amount > 0 else -1)
    return Adjustment(name or f"{kind}:{number}", "SOL/USDT", kind, amount, worth, Decimal("0.01"), at(number))


def build(*entries: BookedFill | Adjustment, opening: Opening | None = OPENED) -> Ledger:
    fills = [one for one in entries if isinstance(one, BookedFill)]
    return build_ledger(fills, adjustments=[one for one in entries if isinstance(one, Adjustment)], opening=opening)


def last(ledger: Ledger) -> Any:
    return ledger.positions[-1]


def tell(position: Position) -> tuple[Any, ...]:
    """Quantity, cost, average cost and realized profit."""
    return position.quantity, position.cost_quote, position.average_cost, position.realized_pnl_quote


def test_a_withdrawal_takes_its_share_of_the_cost_and_realizes_nothing() -> None:
    bought = buy("10", "100", number=1)
    assert tell(last(build(bought, move(WITHDRAWAL, "-4", "440", number=2)))) == (6, 600, 100, 0)
    ledger = build(bought, move(WITHDRAWAL, "-4", "440", number=2), sell("6", "110", number=3))
    assert tell(last(ledger)) == (0, 0, 100, 60)
    assert ledger.unmatched == ()


def test_a_withdrawal_of_everything_closes_the_position_and_the_next_buy_opens_another() -> None:
    ledger = build(buy("10", "100", number=1), move(WITHDRAWAL, "-10", "900", number=2), buy("1", "90", number=3))
    first, second = ledger.positions
    assert tell(second)[:2] == (1, 90)
    assert (first.closed_at, tell(first)) == (at(2), (0, 0, 100, 0))
    assert second.opened_by == "SOL/USDT#3"


def test_a_deposit_comes_in_at_its_value_then() -> None:
    ledger = build(buy("10", "100", number=1), move(DEPOSIT, "10", "1200", number=2))
    assert tell(last(ledger)) == (20, 2200, 110, 0)
    ledger = build(move(DEPOSIT, "2", "240", number=2), sell("2", "130", number=3))
    assert (last(ledger).opened_by, last(ledger).opened_at) == ("deposit:2", at(2))
    assert (last(ledger).closed_at, last(ledger).realized_pnl_quote, ledger.unmatched) == (at(3), 20, ())


def test_a_deposit_too_small_to_be_sold_opens_nothing() -> None:
    assert build(move(DEPOSIT, "0.009", "0.9", number=2)).positions == ()
    dust = build(buy("1.005", "100", number=1), sell("1", "100", number=2), move(DEPOSIT, "0.005", "0.5", number=3))
    assert tell(last(dust))[:2] == (Decimal("0.01"), Decimal(1))
    assert last(dust).is_open


def test_a_trade_elsewhere_is_a_sale_or_a_purchase_at_its_value() -> None:
    bought = buy("10", "100", number=1)
    assert tell(last(build(bought, move(TRADE, "-4", "440", number=2)))) == (6, 600, 100, 40)
    assert tell(last(build(bought, move(TRADE, "10", "1200", number=2)))) == (20, 2200, 110, 0)
    beyond = build(bought, move(TRADE, "-12", "1200", number=2))
    assert (last(beyond).quantity, last(beyond).realized_pnl_quote) == (0, 0)
    (unmatched,) = beyond.unmatched
    assert (unmatched.fill_key, unmatched.quantity, unmatched.proceeds_quote) == ("trade:2", Decimal(2), Decimal(200))


def test_income_is_profit_when_it_comes_and_a_loss_costs_what_was_paid() -> None:
    bought = buy("10", "100", number=1)
    assert tell(last(build(bought, move(OTHER, "1", "110", number=2))))[:2] == (11, 1110)
    assert last(build(bought, move(OTHER, "1", "110", number=2))).realized_pnl_quote == 110
    assert tell(last(build(bought, move(OTHER, "-1", "110", number=2)))) == (9, 900, 100, -100)


def test_a_withdrawal_that_failed_after_all_leaves_no_trace() -> None:
    bought, left = buy("10", "100", number=1), move(WITHDRAWAL, "-4", "440", number=2, name="w")
    back = move(WITHDRAWAL, "4", "480", number=4, name="w" + RETURNED)
    assert build(bought, left, back).positions == build(bought).positions
    all_of_it = move(WITHDRAWAL, "-10", "1100", number=2, name="w")
    again = build(bought, all_of_it, move(WITHDRAWAL, "10", "1", number=4, name="w" + RETURNED))
    assert tell(last(again)) == (10, 1000, 100, 0)
    beside = Opening(at(1.5), {"SOL": Decimal(15)})
    kept = build(bought, left, back, move(WITHDRAWAL, "-5", "1", number=5), opening=beside)
    assert tell(last(kept)) == (10, 1000, 100, 0)


def test_what_was_held_beside_a_position_leaves_first() -> None:
    opening = Opening(at(1.5), {"SOL": Decimal(15)})
    bought = buy("10", "100", number=1)
    assert tell(last(build(bought, move(WITHDRAWAL, "-5", "1", number=2), opening=opening))) == (10, 1000, 100, 0)
    assert tell(last(build(bought, move(WITHDRAWAL, "-7", "1", number=2), opening=opening))) == (8, 800, 100, 0)
    sold = build(bought, sell("12", "100", number=2), move(DEPOSIT, "1", "100", number=3), opening=opening)
    assert last(sold).quantity == 1
    gone = build(
        bought,
        sell("15", "100", number=2),
        move(DEPOSIT, "1", "100", number=3),
        move(WITHDRAWAL, "-1", "100", number=4),
        opening=opening,
    )
    assert (last(gone).quantity, last(gone).is_open) == (0, False)


def test_what_had_left_before_anybody_looked_is_in_no_position() -> None:
    bought = buy("10", "100", number=1)
    less = build(bought, opening=Opening(at(2), {"SOL": Decimal(6)}))
    assert tell(last(less)) == (6, 600, 100, 0)
    nothing = build(bought, buy("1", "90", number=3), opening=Opening(at(2), {}))
    assert [position.closed_at for position in nothing.positions] == [at(2), None]
    late = build(bought, sell("4", "120", number=2), opening=Opening(at(2), {"SOL": Decimal(6)}))
    assert tell(last(late)) == (6, 600, 100, 80)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[BookedFill], list[Adjustment], Opening]:
    """Fills and adjustments after an opening; nothing leaves that is not there."""
    amounts = st.decimals("0.00000001", "9999", places=8)
    there = draw(st.one_of(st.just(Decimal(0)), amounts))
    opening = Opening(at(0), {"SOL": there})
    fills: list[BookedFill] = []
    adjustments: list[Adjustment] = []
    for number in range(1, draw(st.integers(0, 14)) + 1):
        amount, price = draw(amounts), draw(st.decimals("0.01", "999", places=2))
        kind = draw(st.sampled_from([None, *AdjustmentKind]))
        leaves = draw(st.booleans()) if kind not in (DEPOSIT, WITHDRAWAL) else kind is WITHDRAWAL
        amount = min(amount, there) if leaves else amount
        if not amount:
            continue
        there += -amount if leaves else amount
        if kind is None:
            fills.append(book(make_fill("sell" if leaves else "buy", str(amount), str(price), number=number)))
        else:
            signed = -amount if leaves else amount
            adjustments.append(move(kind, str(signed), str(amount * price), number=number))
    return fills, adjustments, opening


def held_after(fills: list[BookedFill], adjustments: list[Adjustment], opening: Opening) -> Decimal:
    with localcontext(EXACT):
        bought = sum((one.fill.quantity * (1 if one.fill.side is Side.BUY else -1) for one in fills), Decimal(0))
        return opening.quantities["SOL"] + bought + sum((one.quantity for one in adjustments), Decimal(0))


@given(histories(), st.decimals("0", "1", places=4))
def test_when_what_is_expected_leaves_nothing_stays_in_the_position(
    history: tuple[list[BookedFill], list[Adjustment], Opening], share: Decimal
) -> None:
    fills, adjustments, opening = history
    with localcontext(EXACT):
        there = held_after(fills, adjustments, opening)
        leaving = there * share
        if leaving:
            adjustments = [*adjustments, move(WITHDRAWAL, str(-leaving), "1", number=99)]
        positions = build_ledger(fills, adjustments=adjustments, opening=opening).positions
        held = sum((position.quantity for position in positions), Decimal(0))
        assert 0 <= held <= there - leaving


@given(histories(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_entries_matters(
    history: tuple[list[BookedFill], list[Adjustment], Opening], chance: random.Random
) -> None:
    fills, adjustments, opening = history
    shuffled = [*adjustments, *adjustments]
    chance.shuffle(shuffled)
    built = build_ledger(fills, adjustments=adjustments, opening=opening)
    again = build_ledger(reversed(fills), adjustments=shuffled, opening=opening)
    assert (again.positions, again.unmatched) == (built.positions, built.unmatched)


@given(histories())
def test_no_unit_of_quote_appears_or_vanishes(history: tuple[list[BookedFill], list[Adjustment], Opening]) -> None:
    """Deposits are capital in; what a withdrawal takes is the cost that it takes; of the rest see the module."""
    fills, adjustments, opening = history
    ledger = build_ledger(fills, adjustments=adjustments, opening=opening)
    with localcontext(EXACT):
        cash = sum(
            (one.fill.price * one.fill.quantity * (1 if one.fill.side is Side.SELL else -1) for one in fills),
            Decimal(0),
        )
        by_kind: defaultdict[AdjustmentKind, Decimal] = defaultdict(Decimal)
        for one in adjustments:
            by_kind[one.kind] += one.value_quote
        realized = sum((p.realized_pnl_quote for p in ledger.positions), Decimal(0))
        invested = sum((p.cost_quote for p in ledger.positions), Decimal(0))
        unmatched = sum((u.proceeds_quote for u in ledger.unmatched), Decimal(0))
        small = any(one.quantity > 0 and one.quantity < Decimal("0.01") for one in adjustments)
        leaves = any(one.quantity < 0 and one.kind is not TRADE for one in adjustments)
        if not small and not leaves:
            assert realized - invested + unmatched == cash - by_kind[TRADE] - by_kind[DEPOSIT]
