from __future__ import annotations

from decimal import Decimal

import pytest

from lib.simulator.api_errors import ApiError
from lib.simulator.books import Page
from lib.simulator.order_lists import place_oco, read_legacy_oco, read_oco
from lib.simulator.parameters import Parameters
from lib.simulator.records import Order, OrderList
from tests.simulator.paper_market import PaperExchange, open_paper_exchange

SELL = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "1",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "110",
    "belowType": "STOP_LOSS_LIMIT",
    "belowStopPrice": "95",
    "belowPrice": "94",
    "belowTimeInForce": "GTC",
}
BUY = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "quantity": "1",
    "aboveType": "STOP_LOSS",
    "aboveStopPrice": "105",
    "belowType": "LIMIT_MAKER",
    "belowPrice": "90",
}


def place(exchange: PaperExchange, terms: dict[str, str], **changed: str | None) -> OrderList:
    given = {name: value for name, value in {**terms, **changed}.items() if value is not None}
    request = read_oco(Parameters(given))
    return place_oco(exchange.books, exchange.market, exchange.desk, exchange.account, request, exchange.now_ms)


def legs(exchange: PaperExchange) -> tuple[Order, Order]:
    """Return the stop leg and the other leg of the first list."""
    stop, other = exchange.books.orders_of_list(1)
    return stop, other


def is_done(exchange: PaperExchange) -> bool:
    order_list = exchange.books.order_list(1)
    assert order_list is not None
    return order_list.is_done


def test_a_list_locks_the_funds_of_one_of_its_orders_only() -> None:
    exchange = open_paper_exchange(BTC="1", USDT="105")
    place(exchange, SELL)
    place(exchange, BUY)
    assert exchange.has("BTC") == ("0", "1")
    assert exchange.has("USDT") == ("0", "105")  # the dearer of 90 and 105


def test_a_list_locks_for_its_dearer_order_whichever_that_is() -> None:
    exchange = open_paper_exchange(USDT="200")
    place(exchange, BUY, aboveType="STOP_LOSS_LIMIT", abovePrice="85", aboveTimeInForce="GTC")
    assert exchange.has("USDT") == ("110", "90")
    exchange.pass_time(60, price="106")
    assert exchange.has("USDT") == ("115", "85")


def test_when_the_limit_order_fills_the_stop_expires() -> None:
    exchange = open_paper_exchange(BTC="1")
    place(exchange, SELL)
    exchange.pass_time(60, price="111")
    stop, limit = legs(exchange)
    assert (limit.status, stop.status, stop.expiry_reason) == ("FILLED", "EXPIRED", "OCO_TRIGGER")
    assert is_done(exchange)
    assert exchange.has("BTC") == ("0", "0")
    assert exchange.has("USDT")[0] == "109.89"


def test_when_the_stop_triggers_the_limit_order_expires_and_the_stop_trades() -> None:
    exchange = open_paper_exchange(BTC="1")
    place(exchange, SELL)
    exchange.pass_time(60, price="94.8")
    stop, limit = legs(exchange)
    assert (stop.status, limit.status) == ("FILLED", "EXPIRED")
    assert exchange.books.trades(1, Page())[0].price == Decimal("94.79")


def test_a_list_whose_stop_rests_at_its_limit_is_not_done() -> None:
    exchange = open_paper_exchange(BTC="1")
    place(exchange, SELL)
    exchange.pass_time(60, price="90")
    assert [order.status for order in legs(exchange)] == ["NEW", "EXPIRED"]
    assert not is_done(exchange)
    assert exchange.has("BTC") == ("0", "1")
    exchange.desk.cancel(legs(exchange)[0], exchange.now_ms)
    assert is_done(exchange)
    assert exchange.has("BTC") == ("1", "0")


def test_of_two_orders_reached_between_two_looks_the_first_one_wins() -> None:
    exchange = open_paper_exchange(BTC="1")
    place(exchange, SELL)
    exchange.market.move("BTCUSDT", exchange.now_ms + 1000, "112")
    exchange.market.move("BTCUSDT", exchange.now_ms + 2000, "80")
    exchange.pass_time(60)
    assert [order.status for order in legs(exchange)] == ["EXPIRED", "FILLED"]


def test_a_buy_list_frees_what_the_cheaper_order_did_not_need() -> None:
    exchange = open_paper_exchange(USDT="105")
    place(exchange, BUY)
    exchange.pass_time(60, price="89")
    assert [order.status for order in legs(exchange)] == ["EXPIRED", "FILLED"]
    assert exchange.has("USDT") == ("15", "0")


def test_canceling_one_order_cancels_the_list() -> None:
    exchange = open_paper_exchange(BTC="1")
    place(exchange, SELL)
    exchange.desk.cancel(legs(exchange)[1], exchange.now_ms)
    assert [order.status for order in legs(exchange)] == ["CANCELED", "CANCELED"]
    assert is_done(exchange)
    assert exchange.has("BTC") == ("1", "0")


def test_a_list_client_order_id_is_unique_among_open_lists_only() -> None:
    exchange = open_paper_exchange(BTC="2")
    place(exchange, SELL, listClientOrderId="mine")
    with pytest.raises(ApiError, match="Duplicate order sent"):
        place(exchange, SELL, listClientOrderId="mine")
    exchange.pass_time(60, price="111")
    exchange.pass_time(60, price="100")
    assert place(exchange, SELL, listClientOrderId="mine").order_list_id == 2


@pytest.mark.parametrize(
    ("terms", "changed", "code"),
    [
        (SELL, {"abovePrice": "100"}, -2010),
        (SELL, {"belowStopPrice": "100"}, -2010),
        (BUY, {"aboveStopPrice": "99"}, -2010),
        (SELL, {"quantity": "1.5"}, -2010),
        (SELL, {"aboveClientOrderId": "same", "belowClientOrderId": "same"}, -2010),
        (SELL, {"aboveType": "MARKET"}, -1158),
        (SELL, {"belowTimeInForce": None}, -1102),
        (SELL, {"belowTimeInForce": "GTX"}, -1115),
        (SELL, {"aboveTimeInForce": "GTC"}, -1106),
        (SELL, {"aboveStopPrice": "111"}, -1106),
        (SELL, {"quantity": "0.000001"}, -1013),
        (SELL, {"side": "HOLD"}, -1117),
        (BUY, {"aboveType": "LIMIT_MAKER", "abovePrice": "110", "aboveStopPrice": None}, -1168),
        (
            BUY,
            {
                **{"aboveType": "LIMIT_MAKER", "abovePrice": "110", "aboveStopPrice": None},
                **{"belowType": "STOP_LOSS", "belowStopPrice": "90", "belowPrice": None},
            },
            -1165,
        ),
        (SELL, {"aboveType": "STOP_LOSS", "aboveStopPrice": "110", "abovePrice": None}, -1197),
        (SELL, {"belowType": "TAKE_PROFIT_LIMIT"}, -1199),
    ],
)
def test_a_list_that_cannot_be_is_refused_whole(
    terms: dict[str, str], changed: dict[str, str | None], code: int
) -> None:
    exchange = open_paper_exchange(BTC="1", USDT="1000")
    with pytest.raises(ApiError) as caught:
        place(exchange, terms, **changed)
    assert caught.value.code == code
    assert exchange.books.orders(1, Page()) == []
    assert exchange.has("BTC") == ("1", "0")


@pytest.mark.parametrize(("side", "price", "stop"), [("SELL", "110", "95"), ("BUY", "90", "105")])
def test_the_older_form_means_a_limit_order_and_a_stop_loss(side: str, price: str, stop: str) -> None:
    terms = {"symbol": "BTCUSDT", "side": side, "quantity": "1", "price": price, "stopPrice": stop}
    request = read_legacy_oco(Parameters(terms))
    limit, loss = (request.above, request.below) if side == "SELL" else (request.below, request.above)
    assert (limit.type, str(limit.price)) == ("LIMIT_MAKER", price)
    assert (loss.type, str(loss.stop_price)) == ("STOP_LOSS", stop)
    more = terms | {"stopLimitPrice": stop, "stopLimitTimeInForce": "GTC"}
    with_limit = read_legacy_oco(Parameters(more))
    assert {with_limit.above.type, with_limit.below.type} == {"LIMIT_MAKER", "STOP_LOSS_LIMIT"}
