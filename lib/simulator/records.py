"""What the books consist of: accounts, orders, trades, order lists, money in and out."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

NO_LIST = -1  # Binance's orderListId of an order outside any list
NOT_WORKING = -1  # Binance's workingTime of an order that waits for its trigger


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """Binance's order types."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"

    @property
    def is_stop_loss(self) -> bool:
        """Whether its trigger lies on the losing side of the market."""
        return self in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)

    @property
    def is_take_profit(self) -> bool:
        """Whether its trigger lies on the winning side of the market."""
        return self in (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)

    @property
    def has_trigger(self) -> bool:
        """Whether it waits for a stop price."""
        return self.is_stop_loss or self.is_take_profit

    @property
    def has_price(self) -> bool:
        """Whether it has a limit price."""
        return self not in (OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)


class TimeInForce(StrEnum):
    """How long an order stays."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """Where an order is in its life: NEW -> PARTIALLY_FILLED -> one of the final ones, possibly at once."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


def is_falling_trigger(order_type: OrderType, side: Side) -> bool:
    """Tell whether a trigger lies below the market: to sell at a loss, or to buy at a gain."""
    return order_type.is_stop_loss == (side is Side.SELL)


class MovementKind(StrEnum):
    """Money in or out of the exchange."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"


class Record(BaseModel):
    """A row of the books. Instants are Unix milliseconds."""

    model_config = ConfigDict(frozen=True)


class Account(Record):
    """One account with its one API key.

    Attributes:
        maker_rate: Fee of a resting order as a share of the amount received.
        taker_rate: Fee of an order that trades at once.
        fees_in_bnb: Pay fees in BNB at a discount while there is enough of it.
        enable_withdrawals: The key's permission to withdraw, as apiRestrictions shows it.
    """

    account_id: int
    api_key: str
    api_secret: str
    created_at_ms: int
    maker_rate: Decimal = Decimal("0.001")
    taker_rate: Decimal = Decimal("0.001")
    fees_in_bnb: bool = False
    can_trade: bool = True
    can_withdraw: bool = True
    can_deposit: bool = True
    enable_withdrawals: bool = False


class Balance(NamedTuple):
    """What an account holds of one asset: free, and locked by open orders."""

    free: Decimal
    locked: Decimal


class Movement(Record):
    """A deposit or withdrawal; a withdrawal takes amount and fee from the balance."""

    movement_id: int
    account_id: int
    kind: MovementKind
    asset: str
    amount: Decimal
    fee: Decimal
    at_ms: int


class Order(Record):
    """One order.

    Attributes:
        order_id: Counts up per symbol, as on Binance; only (symbol, order_id) names an order.
        order_list_id: The OCO it belongs to, or `NO_LIST`.
        price: Limit price; 0 without one.
        stop_price: Trigger; 0 without one.
        quantity: In base. Of a market order by quote amount: what that amount came to.
        quote_quantity: The amount in quote a market order asked for, else 0.
        executed: Filled so far, in base.
        executed_quote: Paid or received so far, in quote, before fees.
        expiry_reason: Why it expired, else empty.
        working_at_ms: When it began to trade; `NOT_WORKING` until its trigger.
        seen_ms: The price path up to here has had its effect on it.
        locked: What the account's balance still holds for it.
        locked_asset: Quote for a buy, base for a sell.
        self_trade_prevention: As asked; own orders never meet here.
    """

    account_id: int
    symbol: str
    order_id: int
    order_list_id: int
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: Decimal
    stop_price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    executed: Decimal
    executed_quote: Decimal
    status: OrderStatus
    expiry_reason: str
    created_at_ms: int
    updated_at_ms: int
    working_at_ms: int
    seen_ms: int
    locked: Decimal
    locked_asset: str
    self_trade_prevention: str

    @property
    def remaining(self) -> Decimal:
        """What is still to be filled, in base."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        """Whether it can still fill or be canceled."""
        return self.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its trigger."""
        return self.working_at_ms == NOT_WORKING

    @property
    def waits_below(self) -> bool:
        """Whether the price must fall, not rise, to what it waits for: its trigger, or its limit price."""
        return is_falling_trigger(self.type, self.side) if self.is_waiting else self.side is Side.BUY


class Trade(Record):
    """One fill.

    Attributes:
        trade_id: Counts up per symbol, as on Binance; only (symbol, trade_id) names a trade.
        quote_quantity: price x quantity, cut off after eight decimals.
        fee: In `fee_asset`.
        is_maker: Whether the order was resting.
    """

    account_id: int
    symbol: str
    trade_id: int
    order_id: int
    order_list_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_maker: bool
    at_ms: int


class OrderList(Record):
    """One OCO: two orders of which the first to act expires the other."""

    order_list_id: int
    account_id: int
    symbol: str
    client_id: str
    updated_at_ms: int
    is_done: bool = False
