"""Signed endpoints of orders and trades."""

from __future__ import annotations

from aiohttp import web

from lib.simulator import api_errors
from lib.simulator.books import Page
from lib.simulator.order_json import Json, to_canceled, to_list, to_placed, to_queried, to_trade
from lib.simulator.order_request import (
    ORDER_PARAMETERS,
    OrderRequest,
    check_filters,
    read_order,
    read_response_type,
    read_symbol,
)
from lib.simulator.parameters import CLIENT_ORDER_ID
from lib.simulator.records import NO_LIST, Order, OrderStatus, OrderType
from lib.simulator.signed_calls import Call, Route

HOURS_OF_A_QUERY = 24
_HOUR_MS = 3_600_000
_CANCELABLE = {"ONLY_NEW": OrderStatus.NEW, "ONLY_PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED}
_TRADE_QUERIES = (  # "supported combinations of all parameters", beside the symbol
    *((), ("orderId",), ("startTime",), ("endTime",), ("fromId",), ("startTime", "endTime"), ("orderId", "fromId")),
)


def place_order(call: Call) -> Json:
    """POST /api/v3/order."""
    request = _read_checked_order(call)
    default = "FULL" if request.type in (OrderType.LIMIT, OrderType.MARKET) else "ACK"
    response_type = read_response_type(call.parameters, default)
    return write_placed(call, call.exchange.desk.place(call.account, request, call.at_ms), response_type)


def test_order(call: Call) -> Json:
    """POST /api/v3/order/test: everything but the matching engine."""
    with_rates = call.parameters.flag("computeCommissionRates")
    _read_checked_order(call)
    if not with_rates:
        return {}
    rates = {"maker": f"{call.account.maker_rate:.8f}", "taker": f"{call.account.taker_rate:.8f}"}
    nothing = {"maker": "0.00000000", "taker": "0.00000000"}
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": nothing,
        "taxCommissionForOrder": nothing,
        "discount": {
            "enabledForAccount": call.account.fees_in_bnb,
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": "0.25000000",
        },
    }


def query_order(call: Call) -> Json:
    """GET /api/v3/order."""
    order = _find_order(call)
    if order is None:
        raise api_errors.no_such_order()
    return to_queried(order)


def cancel_order(call: Call) -> Json:
    """DELETE /api/v3/order; one of an order list cancels the list and answers it."""
    restriction = call.parameters.text("cancelRestrictions", ".*")
    if restriction is not None and restriction not in _CANCELABLE:
        raise api_errors.invalid_cancel_restrictions()
    order = _find_order(call)
    if order is None or not order.is_open:
        raise api_errors.cancel_rejected()
    if restriction is not None and order.status is not _CANCELABLE[restriction]:
        raise api_errors.cancel_rejected("Order was not canceled due to cancel restrictions.")
    return cancel(call, order)


def cancel_open_orders(call: Call) -> list[Json]:
    """DELETE /api/v3/openOrders."""
    books = call.exchange.books
    there = books.open_orders(call.account.account_id, read_known_symbol(call))
    if not there:
        raise api_errors.cancel_rejected()
    answers = []
    with books.transaction():
        for order in there:
            now = books.order(order.symbol, order.order_id)
            if now is not None and now.is_open:
                answers.append(cancel(call, now))
    return answers


def query_open_orders(call: Call) -> list[Json]:
    """GET /api/v3/openOrders."""
    symbol = read_known_symbol(call) if call.parameters.sent("symbol") else None
    return [to_queried(order) for order in call.exchange.books.open_orders(call.account.account_id, symbol)]


def query_all_orders(call: Call) -> list[Json]:
    """GET /api/v3/allOrders."""
    from_ms, to_ms = read_window(call)
    page = Page(
        symbol=read_known_symbol(call),
        from_id=call.parameters.integer("orderId"),
        from_ms=from_ms,
        to_ms=to_ms,
        limit=read_limit(call),
    )
    return [to_queried(order) for order in call.exchange.books.orders(call.account.account_id, page)]


def query_trades(call: Call) -> list[Json]:
    """GET /api/v3/myTrades."""
    names = tuple(name for name in ("orderId", "startTime", "endTime", "fromId") if call.parameters.sent(name))
    if names not in _TRADE_QUERIES:
        raise api_errors.invalid_combination()
    from_ms, to_ms = read_window(call)
    page = Page(
        symbol=read_known_symbol(call),
        order_id=call.parameters.integer("orderId"),
        from_id=call.parameters.integer("fromId"),
        from_ms=from_ms,
        to_ms=to_ms,
        limit=read_limit(call),
    )
    return [to_trade(trade) for trade in call.exchange.books.trades(call.account.account_id, page)]


def _read_checked_order(call: Call) -> OrderRequest:
    request = read_order(call.parameters)
    check_symbol(call, request.symbol)
    market = call.exchange.market
    check_filters(request, market.instruments[request.symbol], market.price(request.symbol, call.at_ms))
    return request


def write_placed(call: Call, order: Order, response_type: str) -> Json:
    """Write an order just placed, with its fills."""
    page = Page(symbol=order.symbol, order_id=order.order_id)
    return to_placed(order, call.exchange.books.trades(order.account_id, page), response_type)


def cancel(call: Call, order: Order) -> Json:
    """Cancel an open order and write it; one of an order list is written as its whole list."""
    cancel_id = call.parameters.text("newClientOrderId", CLIENT_ORDER_ID) or f"cancel-{order.client_order_id}"[:36]
    books, desk = call.exchange.books, call.exchange.desk
    if order.order_list_id == NO_LIST:
        return to_canceled(desk.cancel(order, call.at_ms), cancel_id)
    there = [each.order_id for each in books.orders_of_list(order.order_list_id) if each.is_open]
    desk.cancel(order, call.at_ms)
    order_list = books.order_list(order.order_list_id)
    if order_list is None:
        raise LookupError(f"Order {order.order_id} names the order list {order.order_list_id}, which is missing.")
    orders = books.orders_of_list(order.order_list_id)
    reports = [to_canceled(each, cancel_id) for each in orders if each.order_id in there]
    return to_list(order_list, orders) | {"orderReports": reports}


def _find_order(call: Call) -> Order | None:
    """Return the order named by id or client id; where both are sent they must name the same one."""
    symbol = read_known_symbol(call)
    order_id = call.parameters.integer("orderId")
    client_id = call.parameters.text("origClientOrderId", CLIENT_ORDER_ID)
    books = call.exchange.books
    if order_id is None:
        if client_id is None:
            raise api_errors.one_of_two("origClientOrderId", "orderId")
        return books.order_by_client_id(call.account.account_id, symbol, client_id)
    order = books.order(symbol, order_id)
    is_named = order is not None and client_id in (None, order.client_order_id)
    return order if is_named and order is not None and order.account_id == call.account.account_id else None


def check_symbol(call: Call, symbol: str) -> None:
    """Refuse a symbol the exchange does not know with -1121."""
    if symbol not in call.exchange.market.instruments:
        raise api_errors.invalid_symbol()


def read_known_symbol(call: Call) -> str:
    """Return the mandatory symbol, which the exchange knows."""
    symbol = read_symbol(call.parameters)
    check_symbol(call, symbol)
    return symbol


def read_limit(call: Call) -> int:
    """Return how many rows are asked for."""
    return call.parameters.limit(default=500, maximum=1000)


def read_window(call: Call) -> tuple[int | None, int | None]:
    """Return startTime and endTime, at most a day apart."""
    from_ms, to_ms = call.parameters.integer("startTime"), call.parameters.integer("endTime")
    if from_ms is not None and to_ms is not None and to_ms - from_ms > HOURS_OF_A_QUERY * _HOUR_MS:
        raise api_errors.more_than_hours(HOURS_OF_A_QUERY)
    return from_ms, to_ms


def _weigh_open_orders(request: web.Request) -> int:
    return 6 if "symbol" in request.query else 80


def _weigh_trades(request: web.Request) -> int:
    return 5 if "orderId" in request.query else 20


def _weigh_test(request: web.Request) -> int:
    return 20 if request.query.get("computeCommissionRates", "").lower() == "true" else 1


_NAMED: tuple[str, ...] = ("symbol", "orderId", "origClientOrderId")
PAGE: tuple[str, ...] = ("startTime", "endTime", "limit")
_CANCEL: tuple[str, ...] = (*_NAMED, "newClientOrderId", "cancelRestrictions")

ORDER_ROUTES = (
    Route("POST", "/api/v3/order", place_order, ORDER_PARAMETERS, 1, orders=1),
    Route("POST", "/api/v3/order/test", test_order, (*ORDER_PARAMETERS, "computeCommissionRates"), _weigh_test),
    Route("GET", "/api/v3/order", query_order, _NAMED, 4),
    Route("DELETE", "/api/v3/order", cancel_order, _CANCEL, 1),
    Route("GET", "/api/v3/openOrders", query_open_orders, ("symbol",), _weigh_open_orders),
    Route("DELETE", "/api/v3/openOrders", cancel_open_orders, ("symbol",), 1),
    Route("GET", "/api/v3/allOrders", query_all_orders, ("symbol", "orderId", *PAGE), 20),
    Route("GET", "/api/v3/myTrades", query_trades, ("symbol", "orderId", "fromId", *PAGE), _weigh_trades),
)
