"""Signed endpoints of order lists."""

from __future__ import annotations

from lib.simulator import api_errors
from lib.simulator.books import Page
from lib.simulator.order_json import Json, to_list
from lib.simulator.order_lists import (
    LEGACY_OCO_PARAMETERS,
    OCO_PARAMETERS,
    OcoRequest,
    place_oco,
    read_legacy_oco,
    read_oco,
)
from lib.simulator.order_request import read_response_type
from lib.simulator.order_routes import (
    PAGE,
    cancel,
    check_symbol,
    read_known_symbol,
    read_limit,
    read_window,
    write_placed,
)
from lib.simulator.parameters import CLIENT_ORDER_ID
from lib.simulator.records import OrderList
from lib.simulator.signed_calls import Call, Route


def place_list(call: Call) -> Json:
    """POST /api/v3/orderList/oco."""
    return _place_list(call, read_oco(call.parameters))


def place_legacy_list(call: Call) -> Json:
    """POST /api/v3/order/oco."""
    return _place_list(call, read_legacy_oco(call.parameters))


def query_list(call: Call) -> Json:
    """GET /api/v3/orderList."""
    order_list = _find_list(call, "origClientOrderId")
    if order_list is None:
        raise api_errors.no_such_order_list()
    return _write_list(call, order_list)


def cancel_list(call: Call) -> Json:
    """DELETE /api/v3/orderList."""
    symbol = read_known_symbol(call)
    order_list = _find_list(call, "listClientOrderId")
    if order_list is None or order_list.is_done or order_list.symbol != symbol:
        raise api_errors.cancel_rejected()
    orders = call.exchange.books.orders_of_list(order_list.order_list_id)
    return cancel(call, next(order for order in orders if order.is_open))


def query_all_lists(call: Call) -> list[Json]:
    """GET /api/v3/allOrderList."""
    from_id = call.parameters.integer("fromId")
    from_ms, to_ms = read_window(call)
    if from_id is not None and (from_ms is not None or to_ms is not None):
        raise api_errors.invalid_combination()
    page = Page(from_id=from_id, from_ms=from_ms, to_ms=to_ms, limit=read_limit(call))
    return [_write_list(call, each) for each in call.exchange.books.order_lists(call.account.account_id, page)]


def query_open_lists(call: Call) -> list[Json]:
    """GET /api/v3/openOrderList."""
    lists = call.exchange.books.open_lists(call.account.account_id)
    return [_write_list(call, each) for each in lists]


def _place_list(call: Call, request: OcoRequest) -> Json:
    check_symbol(call, request.above.symbol)
    response_type = read_response_type(call.parameters, "RESULT")
    exchange = call.exchange
    order_list = place_oco(exchange.books, exchange.market, exchange.desk, call.account, request, call.at_ms)
    orders = exchange.books.orders_of_list(order_list.order_list_id)
    return to_list(order_list, orders) | {
        "orderReports": [write_placed(call, order, response_type) for order in orders]
    }


def _write_list(call: Call, order_list: OrderList) -> Json:
    return to_list(order_list, call.exchange.books.orders_of_list(order_list.order_list_id))


def _find_list(call: Call, client_id_name: str) -> OrderList | None:
    list_id = call.parameters.integer("orderListId")
    client_id = call.parameters.text(client_id_name, CLIENT_ORDER_ID)
    if list_id is None and client_id is None:
        raise api_errors.invalid_combination("orderListId")
    return call.exchange.books.find_list(call.account.account_id, list_id, client_id)


LIST_ROUTES = (
    Route("POST", "/api/v3/orderList/oco", place_list, OCO_PARAMETERS, 1, orders=2),
    Route("POST", "/api/v3/order/oco", place_legacy_list, LEGACY_OCO_PARAMETERS, 1, orders=2),
    Route("GET", "/api/v3/orderList", query_list, ("orderListId", "origClientOrderId"), 4),
    Route(
        *("DELETE", "/api/v3/orderList", cancel_list),
        ("symbol", "orderListId", "listClientOrderId", "newClientOrderId"),
        1,
    ),
    Route("GET", "/api/v3/allOrderList", query_all_lists, ("fromId", *PAGE), 20),
    Route("GET", "/api/v3/openOrderList", query_open_lists, (), 6),
)
