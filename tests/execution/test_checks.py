from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import CheckRefused
from lib.execution.checks import Facts, OrderLimits, Refusal, calc_bound, check_halt, check_order, check_symbol
from lib.execution.orders import OrderKind, TimeInForce
from lib.execution.venue import KeyPermissions
from lib.market.book import Level, OrderBook
from lib.market.symbols import SymbolStatus
from lib.portfolio.fills import Balance, Side
from lib.portfolio.stores import Listing
from tests.execution.test_orders import NOW, intend

LISTING = Listing(SymbolStatus.TRADING, Decimal("0.001"), Decimal("0.01"), Decimal("0.01"), Decimal(5))
BOOK = OrderBook(
    "BTC/USDT",
    bids=(Level(Decimal(100), Decimal(1)), Level(Decimal(90), Decimal(9))),
    asks=(Level(Decimal(101), Decimal(1)), Level(Decimal(111), Decimal(9))),
)
FACTS = Facts(
    now=NOW,
    permissions=KeyPermissions(may_trade=True, may_withdraw=False),
    listing=LISTING,
    book=BOOK,
    book_at=NOW,
    balances={"USDT": Balance("USDT", Decimal(1000), Decimal(500)), "BTC": Balance("BTC", Decimal(2), Decimal(1))},
    day_notional=Decimal(0),
)
LIMITS = OrderLimits(max_order_notional=Decimal(400), max_day_notional=Decimal(600))
SOUND: dict[str, Any] = {"quantity": Decimal(1), "reference_price": Decimal(100)}
BOUND = {"kind": OrderKind.LIMIT, "time_in_force": TimeInForce.IOC}


def refusal(intent: dict[str, Any], facts: dict[str, Any], limits: OrderLimits = LIMITS) -> tuple[str, str]:
    with pytest.raises(CheckRefused) as caught:
        check_order(intend(**SOUND | intent), replace(FACTS, **facts), limits)
    return caught.value.code, str(caught.value)


def test_sound_orders_pass() -> None:
    check_order(intend(**SOUND), FACTS, LIMITS)
    check_order(intend(**SOUND, side=Side.SELL), FACTS, LIMITS)
    check_order(intend(**SOUND | BOUND, limit_price=Decimal(102)), FACTS, LIMITS)
    resting = {"kind": OrderKind.LIMIT, "limit_price": Decimal(60)}
    check_order(intend(**SOUND | resting | {"reference_price": Decimal(60)}), FACTS, LIMITS)


REFUSED: list[tuple[Refusal, str, dict[str, Any], dict[str, Any]]] = [
    (Refusal.KEY_MAY_WITHDRAW, "without withdrawals", {}, {"permissions": KeyPermissions(True, True)}),
    (Refusal.KEY_MAY_NOT_TRADE, "Enable spot trading", {}, {"permissions": KeyPermissions(False, False)}),
    (Refusal.STALE_PRICE, "31 s old, at most 30 s", {}, {"book_at": NOW - timedelta(seconds=31)}),
    (Refusal.NO_PRICE, "Nobody takes", {}, {"book": replace(BOOK, asks=())}),
    (Refusal.PRICE_MOVED, "at 98.5 and is at 101: 2.54 % away, at most 2 %", {"reference_price": Decimal("98.5")}, {}),
    (Refusal.PRICE_MOVED, "Plan anew", {"reference_price": Decimal("103.5")}, {}),
    (Refusal.PRICE_MOVED, "is at 100", {"reference_price": Decimal("98"), "side": Side.SELL}, {}),
    (Refusal.SLIPPAGE, "3.30 % beyond the best price of BTC/USDT, at most 1 %", {"quantity": Decimal("1.5")}, {}),
    (Refusal.SLIPPAGE, "holds 10 BTC where 11", {"quantity": Decimal(11)}, {}),
    (Refusal.OFF_STEP, "in steps of 0.001, was 1.0001", {"quantity": Decimal("1.0001")}, {}),
    (Refusal.BELOW_MINIMUM, "at least 0.01 BTC, was 0.009", {"quantity": Decimal("0.009")}, {}),
    (Refusal.BELOW_MINIMUM, "5.00 USDT an order in BTC/USDT, was 4.04 USDT", {"quantity": Decimal("0.04")}, {}),
    (
        Refusal.ORDER_LIMIT,
        "worth 408.00 USDT, at most 400.00 USDT",
        {"quantity": Decimal(4), **BOUND, "limit_price": Decimal(102)},
        {},
    ),
    (Refusal.DAY_LIMIT, "come to 500.00 USDT, with this one to 601.00 USDT", {}, {"day_notional": Decimal(500)}),
    (
        Refusal.NOT_ENOUGH,
        "needs 101 USDT, account main has 100 free",
        {},
        {"balances": {"USDT": Balance("USDT", Decimal(100), Decimal(100))}},
    ),
    (Refusal.NOT_ENOUGH, "needs 1 BTC, account main has 0 free", {"side": Side.SELL}, {"balances": {}}),
]


@pytest.mark.parametrize(("code", "words", "intent", "facts"), REFUSED, ids=[f"{row[0]} {row[1]}" for row in REFUSED])
def test_a_refusal_has_its_code_the_numbers_and_the_remedy(
    code: Refusal, words: str, intent: dict[str, Any], facts: dict[str, Any]
) -> None:
    was, message = refusal(intent, facts)
    assert was == code
    assert words in message


def test_a_symbol_must_be_watched_known_and_trading() -> None:
    assert check_symbol("BTC/USDT", LISTING, is_watched=True) is LISTING
    halted = replace(LISTING, status=SymbolStatus.HALTED)
    for listing, is_watched, code in (
        (LISTING, False, "unknown_symbol"),
        (None, True, "unknown_symbol"),
        (halted, True, "not_trading"),
    ):
        with pytest.raises(CheckRefused) as caught:
            check_symbol("BTC/USDT", listing, is_watched=is_watched)
        assert caught.value.code == code


def test_a_halt_refuses_with_its_reason() -> None:
    check_halt(None)
    with pytest.raises(CheckRefused, match="Trading is halted: by hand"):
        check_halt("by hand")


def test_an_exit_at_any_price_needs_no_limits() -> None:
    unlimited = OrderLimits(max_move_pct=None, max_slippage_pct=None)
    check_order(
        intend(**SOUND | {"quantity": Decimal(2), "reference_price": Decimal(150), "side": Side.SELL}), FACTS, unlimited
    )


PRICES = st.decimals("0.01", "100000", places=2)


@given(PRICES, st.decimals("0", "20", places=2), st.sampled_from(["0.01", "0.1", "1"]))
def test_a_bound_never_lies_beyond_the_slippage_and_is_a_multiple_of_the_step(
    price: Decimal, pct: Decimal, step: str
) -> None:
    low = calc_bound(Side.SELL, price, pct, Decimal(step))
    high = calc_bound(Side.BUY, price, pct, Decimal(step))
    assert high <= price * (1 + pct / 100)
    assert low >= price * (1 - pct / 100)
    assert high % Decimal(step) == low % Decimal(step) == 0
