"""Booking what happens to one order: locks, fills with their fees, closing, and what an OCO sibling suffers by it."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from lib.simulator import api_errors
from lib.simulator.books import Books
from lib.simulator.fees import BNB, Fee, calc_bnb_fee, calc_fee, round_up
from lib.simulator.market import Instrument, Market
from lib.simulator.matching import Fill
from lib.simulator.order_request import OrderRequest
from lib.simulator.records import NO_LIST, NOT_WORKING, Account, Order, OrderStatus, Side, Trade

ZERO = Decimal(0)


def changed(order: Order, **fields: Any) -> Order:
    """Return an order with some fields changed."""
    return order.model_copy(update=fields)


def needed_lock(order: OrderRequest | Order) -> Decimal:
    """Return what must be locked for an order: its quantity for a sell, its cost at its own price for a buy.

    A buy without limit is counted at its stop price, and as nothing without one.
    """
    quantity = order.remaining if isinstance(order, Order) else order.quantity
    return quantity if order.side is Side.SELL else round_up(quantity * (order.price or order.stop_price))


class OrderLedger:
    """Changes of one order and of the balances with it; callers hold the transaction.

    Args:
        books: Where everything is written.
        market: Tells the assets of a symbol and the price of BNB.
    """

    def __init__(self, books: Books, market: Market) -> None:
        self._books = books
        self._market = market

    def open(self, account: Account, request: OrderRequest, at_ms: int, list_id: int, locked: Decimal) -> Order:
        """Book a new order and lock its funds.

        Raises:
            ApiError: -2010 for insufficient balance.
        """
        instrument = self._market.instruments[request.symbol]
        order_id = self._books.next_order_id(request.symbol)
        order = Order(
            account_id=account.account_id,
            symbol=request.symbol,
            order_id=order_id,
            order_list_id=list_id,
            client_order_id=request.client_order_id or _make_client_order_id(request.symbol, order_id),
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force,
            price=request.price,
            stop_price=request.stop_price,
            quantity=request.quantity,
            quote_quantity=request.quote_quantity,
            executed=ZERO,
            executed_quote=ZERO,
            status=OrderStatus.NEW,
            expiry_reason="",
            created_at_ms=at_ms,
            updated_at_ms=at_ms,
            working_at_ms=NOT_WORKING if request.type.has_trigger else at_ms,
            seen_ms=at_ms,
            locked=ZERO,
            locked_asset=instrument.quote if request.side is Side.BUY else instrument.base,
            self_trade_prevention=request.self_trade_prevention,
        )
        return self._books.save_order(self.lock(order, locked))

    def lock(self, order: Order, amount: Decimal) -> Order:
        """Lock a further amount for an order.

        Raises:
            ApiError: -2010 for insufficient balance.
        """
        if self._books.balance(order.account_id, order.locked_asset).free < amount:
            raise api_errors.insufficient_balance()
        self._books.adjust(order.account_id, order.locked_asset, free=-amount, locked=amount)
        return changed(order, locked=order.locked + amount)

    def release(self, order: Order) -> Order:
        """Free what the order holds beyond its present need; everything once it is closed."""
        surplus = order.locked - (needed_lock(order) if order.is_open else ZERO)
        if surplus <= 0:
            return order
        self._books.adjust(order.account_id, order.locked_asset, free=surplus, locked=-surplus)
        return changed(order, locked=order.locked - surplus)

    def fill(self, account: Account, order: Order, fill: Fill, at_ms: int, *, is_maker: bool) -> Order:
        """Book one fill, paid from what is locked; the caller saves the order it returns."""
        instrument = self._market.instruments[order.symbol]
        base, quote = Fee(fill.quantity, instrument.base), Fee(fill.quote, instrument.quote)
        spent, received = (quote, base) if order.side is Side.BUY else (base, quote)
        self._books.adjust(account.account_id, spent.asset, locked=-spent.amount)
        self._books.adjust(account.account_id, received.asset, free=received.amount)
        fee = self._choose_fee(account, instrument, fill, received, at_ms, is_maker)
        self._books.adjust(account.account_id, fee.asset, free=-fee.amount)
        self._book_trade(order, fill, fee, at_ms, is_maker)
        executed = order.executed + fill.quantity
        return changed(
            order,
            executed=executed,
            executed_quote=order.executed_quote + fill.quote,
            status=OrderStatus.FILLED if executed == order.quantity else OrderStatus.PARTIALLY_FILLED,
            updated_at_ms=at_ms,
            locked=order.locked - spent.amount,
        )

    def _book_trade(self, order: Order, fill: Fill, fee: Fee, at_ms: int, is_maker: bool) -> None:
        self._books.save_trade(
            Trade(
                account_id=order.account_id,
                symbol=order.symbol,
                trade_id=self._books.next_trade_id(order.symbol),
                order_id=order.order_id,
                order_list_id=order.order_list_id,
                side=order.side,
                price=fill.price,
                quantity=fill.quantity,
                quote_quantity=fill.quote,
                fee=fee.amount,
                fee_asset=fee.asset,
                is_maker=is_maker,
                at_ms=at_ms,
            )
        )

    def _choose_fee(
        self, account: Account, instrument: Instrument, fill: Fill, received: Fee, at_ms: int, is_maker: bool
    ) -> Fee:
        """Return the fee in BNB where the account wants that and can pay it, else in the asset received."""
        bnb_market = BNB + instrument.quote
        if account.fees_in_bnb and bnb_market in self._market.instruments:
            price = fill.price if instrument.base == BNB else self._market.price(bnb_market, at_ms)
            fee = calc_bnb_fee(account, fill.quote, price, is_maker=is_maker)
            if self._books.balance(account.account_id, BNB).free >= fee.amount:
                return fee
        return calc_fee(account, received, is_maker=is_maker)

    def close(self, order: Order, status: OrderStatus, at_ms: int, expiry_reason: str = "") -> Order:
        """End an order that is not filled, and free its funds."""
        closed = self.release(changed(order, status=status, expiry_reason=expiry_reason, updated_at_ms=at_ms))
        return self.save(closed, at_ms)

    def save(self, order: Order, at_ms: int) -> Order:
        """Write an order, and that its list is done when it was the last of it."""
        self._books.save_order(order)
        if order.order_list_id != NO_LIST and not order.is_open and not self.open_siblings(order):
            order_list = self._books.order_list(order.order_list_id)
            if order_list is not None:
                self._books.save_list(order_list.model_copy(update={"is_done": True, "updated_at_ms": at_ms}))
        return order

    def open_siblings(self, order: Order) -> list[Order]:
        """Return the other open orders of an order's list."""
        if order.order_list_id == NO_LIST:
            return []
        orders = self._books.orders_of_list(order.order_list_id)
        return [other for other in orders if other.is_open and other.order_id != order.order_id]

    def take_over(self, order: Order, at_ms: int) -> Order:
        """Expire the OCO sibling of an order that acts, and take the funds it held for both."""
        for sibling in self.open_siblings(order):
            order = changed(order, locked=order.locked + sibling.locked)
            self.close(changed(sibling, locked=ZERO), OrderStatus.EXPIRED, at_ms, "OCO_TRIGGER")
        return order


def _make_client_order_id(symbol: str, order_id: int) -> str:
    return hashlib.sha256(f"{symbol} {order_id}".encode()).hexdigest()[:22]
