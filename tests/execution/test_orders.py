from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import OrderRefused
from lib.execution.orders import (
    TRANSITIONS,
    IllegalTransition,
    OrderIntent,
    OrderKind,
    OrderReport,
    OrderState,
    check_transition,
    find_difference,
    make_client_order_id,
    to_state,
)
from lib.portfolio.fills import Fill, Side

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STATES = st.sampled_from(list(OrderState))


def intend(**changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "client_order_id": "fks-1",
        "account": "main",
        "symbol": "BTC/USDT",
        "side": Side.BUY,
        "kind": OrderKind.MARKET,
        "quantity": Decimal("0.5"),
        "reference_price": Decimal(50_000),
        "created_at": NOW,
        "why": "a test",
    }
    return OrderIntent(**fields | changes)


def report(state: OrderState, executed: str) -> OrderReport:
    quantity = Decimal("0.5")
    return OrderReport("fks-1", "7", "BTC/USDT", Side.BUY, "MARKET", state, quantity, Decimal(executed), None)


def fill(quantity: str, number: int = 1) -> Fill:
    price = Decimal(50_000)
    return Fill("main", "BTC/USDT", number, "7", Side.BUY, price, Decimal(quantity), Decimal(0), "BTC", NOW)


@given(STATES, STATES)
def test_exactly_the_transitions_of_the_table_are_taken(before: OrderState, after: OrderState) -> None:
    if after is before or after in TRANSITIONS[before]:
        check_transition(before, after)
    else:
        with pytest.raises(IllegalTransition, match=f"{before} cannot become {after}"):
            check_transition(before, after)


@given(st.lists(STATES, max_size=30))
def test_whatever_is_asked_an_order_never_leaves_a_final_state_and_is_attempted_only_when_new(
    wishes: list[OrderState],
) -> None:
    state, path = OrderState.NEW, [OrderState.NEW]
    for wish in wishes:
        try:
            check_transition(state, wish)
        except IllegalTransition:
            continue
        if wish is not state:
            path.append(wish)
        state = wish
    assert not any(one.is_final for one in path[:-1])
    before_attempts = [path[place - 1] for place, one in enumerate(path) if one is OrderState.ATTEMPTED]
    assert set(before_attempts) <= {OrderState.NEW}
    at_exchange = [place for place, one in enumerate(path) if one.is_at_exchange]
    assert not at_exchange or OrderState.ATTEMPTED not in path[at_exchange[0] :]


def test_every_state_has_its_row_and_four_are_final() -> None:
    assert set(TRANSITIONS) == set(OrderState)
    final = {state for state in OrderState if state.is_final}
    assert final == {OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": Decimal(0)}, "quantity above zero, was 0"),
        ({"quantity": Decimal("NaN")}, "quantity above zero, was NaN"),
        ({"reference_price": Decimal(0)}, "reference price above zero"),
        ({"limit_price": Decimal(1)}, "market order has no limit price"),
        ({"kind": OrderKind.LIMIT}, "a limit price for a limit order"),
        ({"kind": OrderKind.STOP_LOSS_LIMIT, "limit_price": Decimal(1)}, "a stop price for a stop_loss_limit order"),
        ({"client_order_id": "x" * 37}, "1 to 36"),
        ({"client_order_id": "ü"}, "1 to 36"),
        ({"client_order_id": ""}, "1 to 36"),
    ],
)
def test_what_cannot_be_an_order_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(OrderRefused, match=words):
        intend(**changes)


@given(st.tuples(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40)))
def test_a_leg_always_has_the_same_name_and_binance_takes_it(parts: tuple[str, str, str]) -> None:
    name = make_client_order_id(*parts)
    assert name == make_client_order_id(*parts)
    assert intend(client_order_id=name).client_order_id.startswith("fks-")


def test_legs_have_names_of_their_own() -> None:
    names = {
        make_client_order_id(account, plan, leg) for account in "ab" for plan in "12" for leg in ("buy 1", "buy 2")
    }
    assert len(names) == 8


def test_a_final_state_waits_for_all_its_fills() -> None:
    filled = report(OrderState.FILLED, "0.5")
    assert to_state(filled, []) is OrderState.OPEN
    assert to_state(filled, [fill("0.2")]) is OrderState.PARTIALLY_FILLED
    assert to_state(filled, [fill("0.2"), fill("0.3", 2)]) is OrderState.FILLED
    assert to_state(report(OrderState.EXPIRED, "0"), []) is OrderState.EXPIRED


def test_a_report_of_another_order_is_told_from_ours() -> None:
    ours = report(OrderState.OPEN, "0")
    assert find_difference(intend(), ours) is None
    assert find_difference(intend(), replace(ours, side=Side.SELL)) == "expected side buy, was sell"
    assert find_difference(intend(), replace(ours, quantity=Decimal(1))) == "expected quantity 0.5, was 1"
