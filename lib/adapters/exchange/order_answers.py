"""Checks of Binance's answers about orders.

Sources: Binance Spot API, "New order", "Query order", "Current open orders", "Account trade list"; Wallet API, "Get API
key permission".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from lib.adapters.exchange.answers import (
    refuse,
    to_amount,
    to_flag,
    to_instant,
    to_integer,
    to_list,
    to_object,
    to_text,
)
from lib.execution.orders import OrderReport, OrderState
from lib.execution.venue import KeyPermissions
from lib.portfolio.fills import Fill, Side
from lib.units import EPOCH

STATES: Mapping[str, OrderState] = {
    "PENDING_NEW": OrderState.OPEN,
    "NEW": OrderState.OPEN,
    "PARTIALLY_FILLED": OrderState.PARTIALLY_FILLED,
    "PENDING_CANCEL": OrderState.OPEN,
    "FILLED": OrderState.FILLED,
    "CANCELED": OrderState.CANCELLED,
    "EXPIRED": OrderState.EXPIRED,
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,
    "REJECTED": OrderState.REJECTED,
}
SIDES: Mapping[str, Side] = {"BUY": Side.BUY, "SELL": Side.SELL}
T = TypeVar("T")
WAYS_OUT = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer")


def to_report(answer: Any, *, where: str, names: Mapping[str, str]) -> OrderReport:
    """Return one order.

    Args:
        answer: JSON of an order, as placed (RESULT), queried or listed.
        where: For messages.
        names: Our names by the exchange's; another symbol keeps the exchange's.

    Raises:
        BadAnswer: A value of a wrong type, a word that is not documented, or amounts that contradict each other.
    """
    row = to_object(answer, where)
    identifier = to_text(row.get("symbol"), where, "symbol")
    inside = f"{where}, order {to_integer(row.get('orderId'), where, 'orderId')}"
    quantity = to_amount(row.get("origQty"), inside, "origQty")
    executed = to_amount(row.get("executedQty"), inside, "executedQty")
    state = _to_choice(row.get("status"), STATES, inside, "status")
    if executed > quantity or (state is OrderState.FILLED and executed != quantity):
        raise refuse(inside, "executedQty", f"what fits {state} of {quantity}", str(executed))
    price = to_amount(row.get("price"), inside, "price")
    created = row.get("time", row.get("transactTime"))
    return OrderReport(
        client_order_id=to_text(row.get("clientOrderId"), inside, "clientOrderId"),
        order_id=str(row["orderId"]),
        symbol=names.get(identifier, identifier),
        side=_to_choice(row.get("side"), SIDES, inside, "side"),
        kind=to_text(row.get("type"), inside, "type"),
        state=state,
        quantity=quantity,
        executed=executed,
        price=price or None,
        created_at=None if created is None else to_instant(created, inside, "time"),
    )


def to_reports(answer: Any, *, where: str, names: Mapping[str, str]) -> list[OrderReport]:
    """Return a list of orders, by time."""
    reports = [to_report(row, where=where, names=names) for row in to_list(answer, where)]
    return sorted(reports, key=lambda report: report.created_at or EPOCH)


def to_list_rows(answer: Any, where: str) -> dict[str, Any]:
    """Return the orders of a list that was placed, as JSON, by their names."""
    row = to_object(answer, where)
    reports = [to_object(one, where) for one in to_list(row.get("orderReports"), where)]
    return {to_text(one.get("clientOrderId"), where, "clientOrderId"): one for one in reports}


def check_fills(fills: Sequence[Fill], report: OrderReport, where: str) -> None:
    """Refuse fills that cannot be those of the order.

    Raises:
        BadAnswer: Another order's, another side, or more than was ordered.
    """
    for fill in fills:
        if fill.order_id != report.order_id or fill.side is not report.side:
            raise refuse(where, "orderId", f"{report.side} fills of order {report.order_id}", fill.order_id)
    total = sum(fill.quantity for fill in fills)
    if total > report.quantity:
        raise refuse(where, "qty", f"at most {report.quantity} in all", str(total))


def to_order_ids(answer: Any, *, where: str) -> list[int]:
    """Return which orders the fills of ``myTrades`` belong to, each once."""
    rows = [to_object(row, where) for row in to_list(answer, where)]
    return list(dict.fromkeys(to_integer(row.get("orderId"), where, "orderId") for row in rows))


def to_permissions(answer: Any, where: str) -> KeyPermissions:
    """Return what ``account/apiRestrictions`` says a key may do; every way in which money can leave counts."""
    row = to_object(answer, where)
    ways_out = [to_flag(row.get(name), where, name) for name in WAYS_OUT if name in row or name == WAYS_OUT[0]]
    return KeyPermissions(
        may_trade=to_flag(row.get("enableSpotAndMarginTrading"), where, "enableSpotAndMarginTrading"),
        may_withdraw=any(ways_out),
    )


def _to_choice(value: Any, choices: Mapping[str, T], where: str, field: str) -> T:
    word = to_text(value, where, field)
    if word not in choices:
        raise refuse(where, field, f"one of {', '.join(choices)}", word)
    return choices[word]
