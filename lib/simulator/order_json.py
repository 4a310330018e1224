"""Orders, order lists and trades as Binance writes them: ids and instants as integers, amounts as text."""

from __future__ import annotations

from typing import Any

from lib.simulator.filters import to_text
from lib.simulator.records import Order, OrderList, OrderStatus, Side, Trade

Json = dict[str, Any]


def to_placed(order: Order, trades: list[Trade], response_type: str) -> Json:
    """Write an order just placed; `response_type` is ACK, RESULT or FULL."""
    acknowledged = _to_names(order) | {"transactTime": order.updated_at_ms}
    if response_type == "ACK":
        return acknowledged
    result = acknowledged | _to_terms(order) | {"workingTime": order.working_at_ms} | _to_self_trade(order)
    return result if response_type == "RESULT" else result | {"fills": [_to_fill(trade) for trade in trades]}


def to_queried(order: Order) -> Json:
    """Write an order as a query answers it."""
    return (
        _to_names(order)
        | _to_terms(order)
        | {
            "stopPrice": to_text(order.stop_price),
            "icebergQty": "0.00000000",
            "time": order.created_at_ms,
            "updateTime": order.updated_at_ms,
            "isWorking": not order.is_waiting,
            "workingTime": order.working_at_ms,
        }
        | _to_self_trade(order)
    )


def to_canceled(order: Order, cancel_id: str) -> Json:
    """Write a canceled order; `cancel_id` names the cancel, the order's own name is origClientOrderId."""
    return (
        {"symbol": order.symbol, "origClientOrderId": order.client_order_id}
        | _to_names(order)
        | {"clientOrderId": cancel_id, "transactTime": order.updated_at_ms}
        | _to_terms(order)
        | _to_self_trade(order)
    )


def to_list(order_list: OrderList, orders: list[Order]) -> Json:
    """Write an order list."""
    return {
        "orderListId": order_list.order_list_id,
        "contingencyType": "OCO",
        "listStatusType": "ALL_DONE" if order_list.is_done else "EXEC_STARTED",
        "listOrderStatus": "ALL_DONE" if order_list.is_done else "EXECUTING",
        "listClientOrderId": order_list.client_id,
        "transactionTime": order_list.updated_at_ms,
        "symbol": order_list.symbol,
        "orders": [
            {"symbol": order.symbol, "orderId": order.order_id, "clientOrderId": order.client_order_id}
            for order in orders
        ],
    }


def to_trade(trade: Trade) -> Json:
    """Write a trade as myTrades has it."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": trade.order_list_id,
        "price": to_text(trade.price),
        "qty": to_text(trade.quantity),
        "quoteQty": to_text(trade.quote_quantity),
        "commission": to_text(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.at_ms,
        "isBuyer": trade.side is Side.BUY,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def _to_names(order: Order) -> Json:
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.order_list_id,
        "clientOrderId": order.client_order_id,
    }


def _to_terms(order: Order) -> Json:
    terms: Json = {
        "price": to_text(order.price),
        "origQty": to_text(order.quantity),
        "executedQty": to_text(order.executed),
        "origQuoteOrderQty": to_text(order.quote_quantity),
        "cummulativeQuoteQty": to_text(order.executed_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }
    if order.type.has_trigger:
        terms["stopPrice"] = to_text(order.stop_price)
    if order.status is OrderStatus.EXPIRED:
        terms["expiryReason"] = order.expiry_reason
    return terms


def _to_self_trade(order: Order) -> Json:
    return {"selfTradePreventionMode": order.self_trade_prevention}


def _to_fill(trade: Trade) -> Json:
    return {
        "price": to_text(trade.price),
        "qty": to_text(trade.quantity),
        "commission": to_text(trade.fee),
        "commissionAsset": trade.fee_asset,
        "tradeId": trade.trade_id,
    }
