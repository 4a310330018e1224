"""A new order as a client asks for it: which parameters each type takes, and the filters it must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from lib.simulator import api_errors, filters
from lib.simulator.api_errors import ApiError
from lib.simulator.market import Instrument
from lib.simulator.parameters import CLIENT_ORDER_ID, SYMBOL, Parameters, need
from lib.simulator.records import OrderType, Side, TimeInForce, is_falling_trigger

E = TypeVar("E", bound=StrEnum)

ZERO = Decimal(0)
ORDER_PARAMETERS = (
    *("symbol", "side", "type", "timeInForce", "quantity", "quoteOrderQty", "price", "stopPrice", "newClientOrderId"),
    *("newOrderRespType", "selfTradePreventionMode", "icebergQty", "trailingDelta"),
    *("pegPriceType", "pegOffsetType", "pegOffsetValue"),
)
RESPONSE_TYPES = ("ACK", "RESULT", "FULL")
SELF_TRADE_PREVENTION = ("EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "NONE")  # the default first
_LIMIT = ("timeInForce", "quantity", "price")
# Source: Binance Spot "New order", additional mandatory parameters based on order type.
MANDATORY: Mapping[OrderType, tuple[str, ...]] = {
    OrderType.LIMIT: _LIMIT,
    OrderType.MARKET: (),
    OrderType.STOP_LOSS: ("quantity", "stopPrice"),
    OrderType.STOP_LOSS_LIMIT: (*_LIMIT, "stopPrice"),
    OrderType.TAKE_PROFIT: ("quantity", "stopPrice"),
    OrderType.TAKE_PROFIT_LIMIT: (*_LIMIT, "stopPrice"),
    OrderType.LIMIT_MAKER: ("quantity", "price"),
}
_SHAPE = (*_LIMIT, "stopPrice", "quoteOrderQty")
# What exchangeInfo says no symbol allows, with the matching engine's words for it.
_UNSUPPORTED = {
    "icebergQty": "Iceberg orders are not supported for this symbol.",
    "trailingDelta": "Trailing stop orders are not supported for this symbol.",
    "pegPriceType": "Pegged orders are not supported for this symbol.",
}


@dataclass(frozen=True)
class OrderRequest:
    """A new order; amounts and prices it does not name are 0.

    Attributes:
        quantity: In base.
        quote_quantity: In quote, for a market order that names what to spend or receive.
        client_order_id: The client's name for it; None lets the exchange choose.
    """

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal = ZERO
    quote_quantity: Decimal = ZERO
    price: Decimal = ZERO
    stop_price: Decimal = ZERO
    time_in_force: TimeInForce = TimeInForce.GTC
    client_order_id: str | None = None
    self_trade_prevention: str = SELF_TRADE_PREVENTION[0]

    @property
    def is_at_market(self) -> bool:
        """Whether it takes whatever price the market has."""
        return not self.type.has_price

    @property
    def is_falling_trigger(self) -> bool:
        """Whether its trigger lies below the market."""
        return is_falling_trigger(self.type, self.side)


def read_order(parameters: Parameters) -> OrderRequest:
    """Read a new order from the parameters of `POST /api/v3/order`.

    Raises:
        ApiError: For parameters that are missing, malformed or do not go with the type.
    """
    side = to_choice(Side, need(parameters.text("side", ".*"), "side"), api_errors.invalid_side())
    order_type = to_choice(OrderType, need(parameters.text("type", ".*"), "type"), api_errors.invalid_order_type())
    _check_shape(parameters, order_type)
    for name, refusal in _UNSUPPORTED.items():
        if parameters.sent(name):
            raise api_errors.order_rejected(refusal)
    return OrderRequest(
        symbol=read_symbol(parameters),
        side=side,
        type=order_type,
        quantity=parameters.decimal("quantity") or ZERO,
        quote_quantity=parameters.decimal("quoteOrderQty") or ZERO,
        price=parameters.decimal("price") or ZERO,
        stop_price=parameters.decimal("stopPrice") or ZERO,
        time_in_force=read_time_in_force(parameters, "timeInForce"),
        client_order_id=parameters.text("newClientOrderId", CLIENT_ORDER_ID),
        self_trade_prevention=read_self_trade_prevention(parameters),
    )


def _check_shape(parameters: Parameters, order_type: OrderType) -> None:
    mandatory = MANDATORY[order_type]
    for name in mandatory:
        if not parameters.sent(name):
            raise api_errors.mandatory(name)
    allowed = ("quantity", "quoteOrderQty") if order_type is OrderType.MARKET else mandatory
    for name in _SHAPE:
        if parameters.sent(name) and name not in allowed:
            raise api_errors.not_required(name)
    if order_type is OrderType.MARKET:
        _check_market_amount(parameters.sent("quantity"), parameters.sent("quoteOrderQty"))


def _check_market_amount(has_quantity: bool, has_quote: bool) -> None:
    if has_quantity and has_quote:
        raise api_errors.invalid_combination()
    if not has_quantity and not has_quote:
        raise api_errors.one_of_two("quantity", "quoteOrderQty")


def to_choice(kind: type[E], value: str, refusal: ApiError) -> E:
    """Return the member of an enumeration that has a value, or raise `refusal`."""
    if value not in kind.__members__:
        raise refusal
    return kind(value)


def read_symbol(parameters: Parameters) -> str:
    """Return the mandatory symbol."""
    return need(parameters.text("symbol", SYMBOL), "symbol")


def read_time_in_force(parameters: Parameters, name: str) -> TimeInForce:
    """Return how long an order stays, GTC where it is not said."""
    value = parameters.text(name, ".*")
    if value is None:
        return TimeInForce.GTC
    return to_choice(TimeInForce, value, api_errors.invalid_time_in_force())


def read_self_trade_prevention(parameters: Parameters) -> str:
    """Return the self trade prevention mode."""
    return _read_listed(parameters, "selfTradePreventionMode", SELF_TRADE_PREVENTION) or SELF_TRADE_PREVENTION[0]


def read_response_type(parameters: Parameters, default: str) -> str:
    """Return how much the answer shall tell."""
    return _read_listed(parameters, "newOrderRespType", RESPONSE_TYPES) or default


def _read_listed(parameters: Parameters, name: str, listed: tuple[str, ...]) -> str | None:
    value = parameters.text(name, ".*")
    if value is not None and value not in listed:
        raise api_errors.invalid_parameter(name)
    return value


def check_filters(request: OrderRequest, instrument: Instrument, last_price: Decimal) -> None:
    """Measure an order by the symbol's filters, all but the number of open orders.

    Raises:
        ApiError: -1013.
    """
    if request.type.has_price:
        filters.check_price(instrument, request.price)
        filters.check_distance(instrument, request.price, last_price)
    if request.type.has_trigger:
        filters.check_price(instrument, request.stop_price)
    at_market = request.is_at_market
    if not request.quote_quantity:
        filters.check_quantity(instrument, request.quantity, at_market=at_market)
    price = last_price if at_market else request.price
    notional = request.quote_quantity or price * request.quantity
    filters.check_notional(instrument, notional, at_market=at_market)
