"""OCO: two orders over the same funds, one above and one below the market; the first to act expires the other.

Source: Binance Spot "New Order list - OCO" and its deprecated form "New OCO".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from lib.simulator import api_errors
from lib.simulator.api_errors import ApiError
from lib.simulator.books import Books
from lib.simulator.market import Market
from lib.simulator.order_ledger import needed_lock
from lib.simulator.order_request import (
    MANDATORY,
    OrderRequest,
    check_filters,
    read_self_trade_prevention,
    read_symbol,
    read_time_in_force,
    to_choice,
)
from lib.simulator.orders import OrderDesk
from lib.simulator.parameters import CLIENT_ORDER_ID, Parameters, need
from lib.simulator.records import Account, OrderList, OrderType, Side

ZERO = Decimal(0)
_LEG = ("Type", "ClientOrderId", "Price", "StopPrice", "TimeInForce")
OCO_PARAMETERS = (
    *("symbol", "side", "quantity", "listClientOrderId", "newOrderRespType", "selfTradePreventionMode"),
    *(position + name for position in ("above", "below") for name in _LEG),
)
LEGACY_OCO_PARAMETERS = (
    *("symbol", "side", "quantity", "listClientOrderId", "newOrderRespType", "selfTradePreventionMode"),
    *("limitClientOrderId", "price", "stopClientOrderId", "stopPrice", "stopLimitPrice", "stopLimitTimeInForce"),
)


@dataclass(frozen=True)
class OcoRequest:
    """A new OCO as a client asks for it."""

    above: OrderRequest
    below: OrderRequest
    client_id: str | None


def read_oco(parameters: Parameters) -> OcoRequest:
    """Read the parameters of `POST /api/v3/orderList/oco`.

    Raises:
        ApiError: For parameters that are missing, malformed or do not go with the types.
    """
    above, below = (_read_leg(parameters, position) for position in ("above", "below"))
    if above.type is below.type is OrderType.LIMIT_MAKER:
        raise ApiError(400, -1168, "At least one OCO order must be contingent.")
    _check_position(above, "above")
    _check_position(below, "below")
    return OcoRequest(above, below, parameters.text("listClientOrderId", CLIENT_ORDER_ID))


def read_legacy_oco(parameters: Parameters) -> OcoRequest:
    """Read the parameters of `POST /api/v3/order/oco`: a limit order and a stop loss.

    Raises:
        ApiError: For parameters that are missing or malformed.
    """
    limit_price = parameters.decimal("stopLimitPrice")
    if limit_price is not None:
        need(parameters.text("stopLimitTimeInForce", ".*"), "stopLimitTimeInForce")
    maker = _make_leg(
        parameters,
        OrderType.LIMIT_MAKER,
        price=need(parameters.decimal("price"), "price"),
        client_order_id=parameters.text("limitClientOrderId", CLIENT_ORDER_ID),
    )
    stop = _make_leg(
        parameters,
        OrderType.STOP_LOSS if limit_price is None else OrderType.STOP_LOSS_LIMIT,
        price=limit_price or ZERO,
        stop_price=need(parameters.decimal("stopPrice"), "stopPrice"),
        time_in_force="stopLimitTimeInForce",
        client_order_id=parameters.text("stopClientOrderId", CLIENT_ORDER_ID),
    )
    above, below = (maker, stop) if maker.side is Side.SELL else (stop, maker)
    return OcoRequest(above, below, parameters.text("listClientOrderId", CLIENT_ORDER_ID))


def _read_leg(parameters: Parameters, position: str) -> OrderRequest:
    name = f"{position}Type"
    refusal = ApiError(400, -1158, "Order type not supported in OCO.")
    order_type = to_choice(OrderType, need(parameters.text(name, ".*"), name), refusal)
    if order_type in (OrderType.LIMIT, OrderType.MARKET):
        raise refusal
    for term in ("price", "stopPrice", "timeInForce"):
        sent_as = position + term[0].upper() + term[1:]
        if term in MANDATORY[order_type] and not parameters.sent(sent_as):
            raise api_errors.mandatory(sent_as)
        if term not in MANDATORY[order_type] and parameters.sent(sent_as):
            raise api_errors.not_required(sent_as)
    return _make_leg(
        parameters,
        order_type,
        price=parameters.decimal(f"{position}Price") or ZERO,
        stop_price=parameters.decimal(f"{position}StopPrice") or ZERO,
        time_in_force=f"{position}TimeInForce",
        client_order_id=parameters.text(f"{position}ClientOrderId", CLIENT_ORDER_ID),
    )


def _make_leg(
    parameters: Parameters,
    order_type: OrderType,
    *,
    price: Decimal = ZERO,
    stop_price: Decimal = ZERO,
    time_in_force: str = "timeInForce",
    client_order_id: str | None = None,
) -> OrderRequest:
    return OrderRequest(
        symbol=read_symbol(parameters),
        side=to_choice(Side, need(parameters.text("side", ".*"), "side"), api_errors.invalid_side()),
        type=order_type,
        quantity=need(parameters.decimal("quantity"), "quantity"),
        price=price,
        stop_price=stop_price,
        time_in_force=read_time_in_force(parameters, time_in_force),
        client_order_id=client_order_id,
        self_trade_prevention=read_self_trade_prevention(parameters),
    )


def _check_position(leg: OrderRequest, position: str) -> None:
    """Refuse a leg on the side of the market where its type cannot be."""
    belongs_above = leg.type.is_stop_loss == (leg.side is Side.BUY)
    if belongs_above == (position == "above"):
        return
    if leg.type is OrderType.LIMIT_MAKER:
        code, words = (-1165, "limit") if leg.side is Side.BUY else (-1166, "limit")
    elif leg.type.is_stop_loss:
        code, words = (-1196, "stop loss") if leg.side is Side.BUY else (-1197, "stop loss")
    else:
        code, words = (-1198, "take profit") if leg.side is Side.BUY else (-1199, "take profit")
    place = "above" if belongs_above else "below"
    raise ApiError(400, code, f"A {words} order in a {leg.side.lower()} OCO must be {place}.")


def place_oco(
    books: Books, market: Market, desk: OrderDesk, account: Account, request: OcoRequest, at_ms: int
) -> OrderList:
    """Place both orders of an OCO, which lock their funds once.

    Raises:
        ApiError: -1013 or -2010 with the reason; nothing is booked then.
    """
    legs = sorted((request.above, request.below), key=lambda leg: not leg.type.is_stop_loss)
    last = market.price(request.above.symbol, at_ms)
    with books.transaction():
        desk.check_accepted(account, legs)
        _check_list_name(books, account, request.client_id)
        if not _acts_at(request.above) > last > _acts_at(request.below):
            raise api_errors.order_rejected("The relationship of the prices for the orders is not correct.")
        for leg in legs:
            check_filters(leg, market.instruments[leg.symbol], last)
            desk.check_resting(leg, at_ms)
        list_id = books.next_list_id()
        lock = max(needed_lock(leg) for leg in legs)
        for leg, share in zip(legs, (lock, ZERO), strict=True):
            desk.rest(account, leg, at_ms, list_id, share)
        return books.save_list(
            OrderList(
                order_list_id=list_id,
                account_id=account.account_id,
                symbol=request.above.symbol,
                client_id=request.client_id or hashlib.sha256(f"list {list_id}".encode()).hexdigest()[:22],
                updated_at_ms=at_ms,
            )
        )


def _check_list_name(books: Books, account: Account, client_id: str | None) -> None:
    if client_id is not None and any(each.client_id == client_id for each in books.open_lists(account.account_id)):
        raise api_errors.duplicate_order()


def _acts_at(leg: OrderRequest) -> Decimal:
    """Return the price that must lie on the leg's side of the market."""
    return leg.price if leg.type in (OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT_LIMIT) else leg.stop_price
