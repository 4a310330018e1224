from __future__ import annotations

from decimal import Decimal

import pytest

from lib.simulator.api_errors import ApiError
from lib.simulator.books import Page
from lib.simulator.faults import Fault
from tests.simulator.paper_market import START_MS, PaperExchange, open_paper_exchange


def refusal(exchange: PaperExchange, side: str, kind: str, **terms: str) -> tuple[int, str]:
    """Place an order that must be refused and leave no trace; return the answer."""
    before = exchange.books.balances(exchange.account.account_id), exchange.books.orders(1, Page())
    with pytest.raises(ApiError) as caught:
        exchange.order(side, kind, **terms)
    assert (exchange.books.balances(exchange.account.account_id), exchange.books.orders(1, Page())) == before
    return caught.value.code, caught.value.message


def test_a_market_buy_walks_the_levels_with_one_trade_each() -> None:
    exchange = open_paper_exchange(USDT="10000")
    order = exchange.order("BUY", "MARKET", quantity="25")
    trades = exchange.books.trades(1, Page())
    assert [(str(trade.price), str(trade.quantity)) for trade in trades] == [
        ("100.01", "10"),
        ("100.02", "10"),
        ("100.03", "5"),
    ]
    assert [trade.trade_id for trade in trades] == [1, 2, 3]
    assert (order.status, order.executed_quote) == ("FILLED", Decimal("2500.45"))
    assert exchange.has("USDT") == ("7499.55", "0")
    assert exchange.has("BTC") == ("24.975", "0")  # the fee, 0.1 %, is taken from what was bought


def test_a_market_buy_by_quote_amount_spends_no_more_than_the_amount() -> None:
    exchange = open_paper_exchange(USDT="10000")
    order = exchange.order("BUY", "MARKET", quote_quantity="150")
    # 150 / 100.01 = 1.49985..., in steps of 0.00001
    assert (order.quantity, order.executed, order.status) == (Decimal("1.49985"), Decimal("1.49985"), "FILLED")
    assert order.executed_quote == Decimal("149.9999985")


def test_a_market_sell_by_quote_amount_brings_no_more_than_the_amount() -> None:
    exchange = open_paper_exchange(BTC="5")
    order = exchange.order("SELL", "MARKET", quote_quantity="200")
    assert order.executed == Decimal("2.00020")  # 200 / 99.99
    assert exchange.has("USDT")[0] == "199.79999801"  # 199.999998 less 0.1 %, cut off after eight decimals


def test_a_market_order_beyond_the_book_fills_what_there_is_and_expires() -> None:
    exchange = open_paper_exchange(BTC="90")
    order = exchange.order("SELL", "MARKET", quantity="60")
    assert (order.status, order.executed, order.expiry_reason) == ("EXPIRED", Decimal(50), "INSUFFICIENT_LIQUIDITY")
    assert exchange.has("BTC") == ("40", "0")


def test_a_market_order_on_an_empty_book_is_refused() -> None:
    exchange = open_paper_exchange()
    exchange.market.levels = 0
    assert refusal(exchange, "SELL", "MARKET", quantity="1") == (-1112, "No orders on book for symbol.")


def test_a_resting_limit_order_locks_its_funds_and_cancel_frees_them() -> None:
    exchange = open_paper_exchange(USDT="1000", BTC="2")
    buy = exchange.order("BUY", "LIMIT", quantity="3", price="99.5")
    sell = exchange.order("SELL", "LIMIT", quantity="1.5", price="101")
    assert (buy.status, sell.status) == ("NEW", "NEW")
    assert exchange.has("USDT") == ("701.5", "298.5")
    assert exchange.has("BTC") == ("0.5", "1.5")
    assert exchange.desk.cancel(buy, START_MS).status == "CANCELED"
    exchange.desk.cancel(sell, START_MS)
    assert exchange.has("USDT") == ("1000", "0")
    assert exchange.has("BTC") == ("2", "0")


def test_a_limit_order_takes_the_levels_it_reaches_and_rests_with_what_is_left() -> None:
    exchange = open_paper_exchange(USDT="3000")
    order = exchange.order("BUY", "LIMIT", quantity="25", price="100.02")
    assert (order.status, order.executed, order.executed_quote) == ("PARTIALLY_FILLED", Decimal(20), Decimal("2000.3"))
    assert exchange.has("USDT") == ("499.6", "500.1")  # 5 more at 100.02 are locked


@pytest.mark.parametrize(
    ("time_in_force", "executed", "reason"),
    [("IOC", 20, "UNFILLED_IOC_QUANTITY_EXPIRED"), ("FOK", 0, "UNFILLED_FOK_ORDER_EXPIRED")],
)
def test_immediate_orders_expire_with_what_they_could_not_fill(time_in_force: str, executed: int, reason: str) -> None:
    exchange = open_paper_exchange(USDT="3000")
    order = exchange.order("BUY", "LIMIT", quantity="25", price="100.02", time_in_force=time_in_force)
    assert (order.status, order.executed, order.expiry_reason) == ("EXPIRED", Decimal(executed), reason)
    assert exchange.has("USDT")[1] == "0"


def test_a_fill_or_kill_order_that_the_book_holds_is_filled() -> None:
    exchange = open_paper_exchange(USDT="3000")
    assert exchange.order("BUY", "LIMIT", quantity="20", price="100.02", time_in_force="FOK").status == "FILLED"


def test_a_post_only_order_that_would_trade_is_refused_and_one_that_would_not_rests() -> None:
    exchange = open_paper_exchange()
    refused = refusal(exchange, "BUY", "LIMIT_MAKER", quantity="1", price="100.01")
    assert refused == (-2010, "Order would immediately match and take.")
    assert exchange.order("BUY", "LIMIT_MAKER", quantity="1", price="99").status == "NEW"


@pytest.mark.parametrize(
    ("side", "kind", "stop_price"),
    [
        ("SELL", "STOP_LOSS", "100"),
        ("BUY", "STOP_LOSS", "100"),
        ("SELL", "TAKE_PROFIT", "99"),
        ("BUY", "TAKE_PROFIT", "101"),
    ],
)
def test_a_trigger_on_the_wrong_side_of_the_market_is_refused(side: str, kind: str, stop_price: str) -> None:
    refused = refusal(open_paper_exchange(), side, kind, quantity="1", stop_price=stop_price)
    assert refused == (-2010, "Order would trigger immediately.")


@pytest.mark.parametrize(
    ("side", "kind", "terms"),
    [
        ("BUY", "MARKET", {"quantity": "6"}),
        ("BUY", "MARKET", {"quote_quantity": "600"}),
        ("SELL", "MARKET", {"quantity": "2.1"}),
        ("BUY", "LIMIT", {"quantity": "5.1", "price": "99"}),
        ("SELL", "LIMIT", {"quantity": "2.1", "price": "110"}),
        ("SELL", "STOP_LOSS", {"quantity": "2.1", "stop_price": "90"}),
    ],
)
def test_an_order_the_account_cannot_pay_is_refused(side: str, kind: str, terms: dict[str, str]) -> None:
    refused = refusal(open_paper_exchange(USDT="500", BTC="2"), side, kind, **terms)
    assert refused == (-2010, "Account has insufficient balance for requested action.")


def test_locked_funds_cannot_be_spent_again() -> None:
    exchange = open_paper_exchange(BTC="2")
    exchange.order("SELL", "LIMIT", quantity="1.5", price="110")
    assert refusal(exchange, "SELL", "MARKET", quantity="0.6")[0] == -2010


def test_a_client_order_id_is_unique_among_open_orders_only() -> None:
    exchange = open_paper_exchange()
    first = exchange.order("BUY", "LIMIT", quantity="1", price="99", client_order_id="mine")
    assert refusal(exchange, "BUY", "MARKET", quantity="1", client_order_id="mine") == (-2010, "Duplicate order sent.")
    exchange.pass_time(60, price="98")
    assert exchange.look(first).status == "FILLED"
    second = exchange.order("BUY", "MARKET", quantity="1", client_order_id="mine")
    assert second.status == "FILLED"
    found = exchange.books.order_by_client_id(1, "BTCUSDT", "mine")
    assert found is not None
    assert found.order_id == second.order_id


def test_order_and_trade_ids_count_up_for_each_symbol_by_itself() -> None:
    exchange = open_paper_exchange()
    placed = [exchange.order("BUY", "MARKET", quantity="1", symbol=name) for name in ("BTCUSDT", "ETHUSDT", "BTCUSDT")]
    assert [(order.symbol, order.order_id) for order in placed] == [("BTCUSDT", 1), ("ETHUSDT", 1), ("BTCUSDT", 2)]
    assert len({order.client_order_id for order in placed}) == 3


def test_no_more_orders_are_open_on_a_symbol_than_the_filter_allows() -> None:
    exchange = open_paper_exchange()
    for _ in range(20):
        exchange.order("BUY", "LIMIT", quantity="0.1", price="99")
    refused = refusal(exchange, "BUY", "LIMIT", quantity="0.1", price="99")
    assert refused == (-1013, "Filter failure: MAX_NUM_ORDERS")
    assert exchange.order("BUY", "LIMIT", quantity="1", price="9", symbol="ETHUSDT").status == "NEW"


def test_no_more_than_five_triggers_are_open_on_a_symbol() -> None:
    exchange = open_paper_exchange()
    for _ in range(5):
        exchange.order("SELL", "STOP_LOSS", quantity="0.1", stop_price="90")
    refused = refusal(exchange, "SELL", "STOP_LOSS", quantity="0.1", stop_price="90")
    assert refused == (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")


def test_a_halted_symbol_takes_no_orders_but_lets_them_be_canceled() -> None:
    exchange = open_paper_exchange()
    resting = exchange.order("BUY", "LIMIT", quantity="1", price="99")
    exchange.market.halted.add("BTCUSDT")
    assert refusal(exchange, "BUY", "MARKET", quantity="1") == (-1013, "Market is closed.")
    exchange.pass_time(60, price="98")
    assert exchange.look(resting).status == "NEW"
    assert exchange.desk.cancel(resting, exchange.now_ms).status == "CANCELED"


def test_an_account_that_may_not_trade_is_refused() -> None:
    exchange = open_paper_exchange()
    exchange.account = exchange.books.change_account(exchange.account, can_trade=False)
    refused = refusal(exchange, "BUY", "MARKET", quantity="1")
    assert refused == (-2010, "This account may not place or cancel orders.")


def test_a_partial_fill_fault_leaves_the_rest_open_and_untouched_for_a_while() -> None:
    exchange = open_paper_exchange(USDT="1000")
    exchange.faults.arm(Fault("partial_fill", params={"fraction": "0.3", "hold_seconds": 60}))
    order = exchange.order("BUY", "LIMIT", quantity="4", price="100.01")
    assert (order.status, order.executed) == ("PARTIALLY_FILLED", Decimal("1.2"))
    exchange.pass_time(59, price="99")
    assert exchange.look(order).executed == Decimal("1.2")
    exchange.pass_time(2)
    assert (exchange.look(order).status, exchange.look(order).executed) == ("FILLED", Decimal(4))


def test_a_partial_fill_fault_can_let_the_rest_expire() -> None:
    exchange = open_paper_exchange(USDT="1000")
    exchange.faults.arm(Fault("partial_fill", params={"rest": "expired"}))
    order = exchange.order("BUY", "LIMIT", quantity="4", price="100.01")
    assert (order.status, order.executed) == ("EXPIRED", Decimal(2))
    assert exchange.has("USDT") == ("799.98", "0")


def test_a_reject_fault_refuses_with_its_reason_or_books_a_rejected_order() -> None:
    exchange = open_paper_exchange()
    exchange.faults.arm(Fault("reject", params={"reason": "This action is disabled on this account."}))
    assert refusal(exchange, "BUY", "MARKET", quantity="1") == (-2010, "This action is disabled on this account.")
    exchange.faults.arm(Fault("reject"))
    order = exchange.order("BUY", "LIMIT", quantity="1", price="99")
    assert (order.status, order.is_open, exchange.has("USDT")[1]) == ("REJECTED", False, "0")
