"""What the passing of time does to open orders."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lib.simulator.books import Page
from lib.simulator.matching import find_crossing
from tests.simulator.paper_market import START_MS, open_paper_exchange


def test_a_resting_order_fills_at_its_own_price_as_maker_at_the_instant_the_price_reached_it() -> None:
    exchange = open_paper_exchange(USDT="1000")
    order = exchange.order("BUY", "LIMIT", quantity="2", price="95")
    exchange.market.move("BTCUSDT", START_MS + 777, "94")
    exchange.market.move("BTCUSDT", START_MS + 900, "97")
    exchange.pass_time(3600)
    filled = exchange.look(order)
    trade = exchange.books.trades(1, Page())[0]
    assert (filled.status, filled.updated_at_ms) == ("FILLED", START_MS + 777)
    assert (str(trade.price), trade.at_ms, trade.is_maker) == ("95", START_MS + 777, True)
    assert exchange.has("USDT") == ("810", "0")


def test_what_happened_does_not_depend_on_how_often_one_looks() -> None:
    moves = [(1_000, "99"), (2_500, "94"), (4_000, "103"), (5_500, "98"), (9_000, "107")]
    results = []
    for looks in (1, 10, 1000):
        exchange = open_paper_exchange(USDT="5000", BTC="10")
        for side, price in (("BUY", "95"), ("SELL", "102.5"), ("SELL", "106"), ("BUY", "98.2")):
            exchange.order(side, "LIMIT", quantity="1", price=price)
        exchange.order("SELL", "STOP_LOSS", quantity="2", stop_price="96")
        for after_ms, price in moves:
            exchange.market.move("BTCUSDT", START_MS + after_ms, price)
        for look in range(1, looks + 1):
            exchange.desk.settle(exchange.account, START_MS + 10_000 * look // looks)
        trades = [trade.model_dump(exclude={"trade_id"}) for trade in exchange.books.trades(1, Page())]
        results.append((trades, exchange.books.balances(1)))
    assert results[0] == results[1] == results[2]
    assert len(results[0][0]) == 5


@pytest.mark.parametrize(
    ("side", "kind", "stop_price", "untouched", "reached"),
    [
        ("SELL", "STOP_LOSS", "95", "95.01", "95"),
        ("BUY", "STOP_LOSS", "105", "104.99", "105"),
        ("SELL", "TAKE_PROFIT", "105", "104.99", "105"),
        ("BUY", "TAKE_PROFIT", "95", "95.01", "95"),
    ],
)
def test_a_trigger_waits_for_its_price_and_then_trades_at_the_market(
    side: str, kind: str, stop_price: str, untouched: str, reached: str
) -> None:
    exchange = open_paper_exchange()
    order = exchange.order(side, kind, quantity="1", stop_price=stop_price)
    exchange.pass_time(60, price=untouched)
    assert (exchange.look(order).status, exchange.look(order).is_waiting) == ("NEW", True)
    exchange.pass_time(60, price=reached)
    after = exchange.look(order)
    trade = exchange.books.trades(1, Page())[0]
    assert (after.status, after.working_at_ms) == ("FILLED", START_MS + 90_000)
    best = Decimal(reached) + (Decimal("0.01") if side == "BUY" else Decimal("-0.01"))
    assert (trade.price, trade.is_maker, trade.at_ms) == (best, False, START_MS + 90_000)


def test_a_stop_limit_order_rests_at_its_limit_when_the_price_fell_through_it() -> None:
    exchange = open_paper_exchange(BTC="1")
    order = exchange.order("SELL", "STOP_LOSS_LIMIT", quantity="1", stop_price="95", price="94")
    exchange.pass_time(60, price="90")
    resting = exchange.look(order)
    assert (resting.status, resting.is_waiting, resting.executed) == ("NEW", False, Decimal(0))
    assert exchange.has("BTC") == ("0", "1")
    exchange.pass_time(60, price="94")
    assert exchange.look(order).status == "FILLED"
    assert exchange.books.trades(1, Page())[0].price == 94


def test_a_stop_limit_order_takes_what_its_limit_reaches() -> None:
    exchange = open_paper_exchange(BTC="1")
    order = exchange.order("SELL", "STOP_LOSS_LIMIT", quantity="1", stop_price="95", price="94")
    exchange.pass_time(60, price="94.5")
    assert exchange.look(order).status == "FILLED"
    assert exchange.books.trades(1, Page())[0].price == Decimal("94.49")


def test_an_immediate_stop_limit_order_expires_where_its_limit_is_out_of_reach() -> None:
    exchange = open_paper_exchange(BTC="1")
    order = exchange.order("SELL", "STOP_LOSS_LIMIT", quantity="1", stop_price="95", price="94", time_in_force="IOC")
    exchange.pass_time(60, price="90")
    assert (exchange.look(order).status, exchange.has("BTC")) == ("EXPIRED", ("1", "0"))


def test_a_stop_buy_that_costs_more_than_it_locked_draws_on_free_funds() -> None:
    exchange = open_paper_exchange(USDT="120")
    exchange.order("BUY", "STOP_LOSS", quantity="1", stop_price="105")
    assert exchange.has("USDT") == ("15", "105")
    exchange.pass_time(60, price="110")
    assert exchange.has("USDT") == ("9.99", "0")


def test_a_stop_buy_fills_what_the_account_can_pay_and_expires() -> None:
    exchange = open_paper_exchange(USDT="105")
    order = exchange.order("BUY", "STOP_LOSS", quantity="1", stop_price="105")
    exchange.pass_time(60, price="110")
    after = exchange.look(order)
    assert (after.status, after.executed) == ("EXPIRED", Decimal("0.95445"))  # 105 / 110.01
    assert exchange.has("USDT")[1] == "0"


def test_a_price_set_without_time_passing_is_seen() -> None:
    exchange = open_paper_exchange(BTC="1")
    order = exchange.order("SELL", "STOP_LOSS", quantity="1", stop_price="95")
    exchange.market.move("BTCUSDT", START_MS, "90")
    exchange.desk.settle(exchange.account, START_MS)
    assert exchange.look(order).status == "FILLED"


def test_orders_of_a_symbol_that_is_gone_expire_and_free_their_funds() -> None:
    exchange = open_paper_exchange(BTC="1")
    order = exchange.order("SELL", "LIMIT", quantity="1", price="110")
    del exchange.market.instruments["BTCUSDT"]
    exchange.pass_time(60)
    assert (exchange.look(order).status, exchange.look(order).expiry_reason) == ("EXPIRED", "EXCHANGE_CANCELED")
    assert exchange.has("BTC") == ("1", "0")


def test_looking_at_a_quiet_order_writes_once_a_minute_at_most() -> None:
    exchange = open_paper_exchange()
    order = exchange.order("BUY", "LIMIT", quantity="1", price="90")
    exchange.pass_time(60)
    assert exchange.look(order).seen_ms == START_MS
    exchange.pass_time(1)
    assert exchange.look(order).seen_ms == START_MS + 61_000


@pytest.mark.parametrize("looked_from", [0, 1, 776])
def test_a_crossing_is_found_to_the_millisecond(looked_from: int) -> None:
    market = open_paper_exchange().market
    market.move("BTCUSDT", START_MS + 777, "94")
    market.move("BTCUSDT", START_MS + 86_400_000, "80")
    found = find_crossing(
        market, "BTCUSDT", Decimal(95), falling=True, from_ms=START_MS + looked_from, to_ms=START_MS + 10**8
    )
    assert found == START_MS + 777
