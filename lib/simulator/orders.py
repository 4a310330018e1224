"""The life of an order: placed, triggered, filled at once or when the price comes, canceled, expired.

    NEW -> PARTIALLY_FILLED -> FILLED
    NEW or PARTIALLY_FILLED -> CANCELED (by the client) or EXPIRED (by its own terms, its OCO sibling, or delisting)
    REJECTED: never in force

An order's funds are locked while it is open, so open orders never compete for them. Resting orders are looked at before
every request of their account and once a second; what happened meanwhile is booked at the instant it happened.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from decimal import Decimal

from lib.simulator import api_errors, filters, matching
from lib.simulator.books import Books
from lib.simulator.faults import Fault, Faults
from lib.simulator.market import Market
from lib.simulator.matching import Fill
from lib.simulator.order_ledger import OrderLedger, changed, needed_lock
from lib.simulator.order_request import OrderRequest
from lib.simulator.records import NO_LIST, Account, Order, OrderStatus, OrderType, Side, TimeInForce

ZERO = Decimal(0)
SEEN_EVERY_MS = 60_000  # how far a resting order's `seen_ms` may lag, so that looking does not write every second
_NO_REASON = "NONE"


@dataclass(frozen=True, order=True)
class _Event:
    """Something that happens to a resting order."""

    at_ms: int
    symbol: str
    order_id: int


class OrderDesk:
    """Takes orders of all accounts and moves them through their life; each public change is durable when it returns.

    Args:
        books: Where everything is written.
        market: What orders trade against.
        faults: Asked for "reject" when an order comes and for "partial_fill" when one fills.
    """

    def __init__(self, books: Books, market: Market, faults: Faults) -> None:
        self._books = books
        self._market = market
        self._faults = faults
        self._ledger = OrderLedger(books, market)

    def place(self, account: Account, request: OrderRequest, at_ms: int) -> Order:
        """Place one order and fill what fills at once.

        Raises:
            ApiError: -1013 or -2010 with the reason, -1112 for a market order on an empty book; nothing is booked then.
        """
        with self._books.transaction():
            self.check_accepted(account, [request])
            fault = self._faults.take("reject", request.symbol)
            if fault is not None:
                return self._reject(account, request, at_ms, str(fault.params["reason"]))
            if request.type is OrderType.MARKET:
                return self._place_market(account, request, at_ms)
            if request.type is OrderType.LIMIT:
                order = self.rest(account, request, at_ms)
                return self._take(account, order, self._fills_within_limit(order, at_ms), at_ms)
            self.check_resting(request, at_ms)
            return self.rest(account, request, at_ms)

    def check_accepted(self, account: Account, requests: list[OrderRequest]) -> None:
        """Refuse orders on one symbol that the exchange would not take now, whatever the price is.

        Raises:
            ApiError: -1013 for a halted symbol or too many open orders, -2010 for a duplicate client order id.
        """
        symbol = requests[0].symbol
        if self._market.status(symbol) != "TRADING":
            raise api_errors.market_closed()
        if not account.can_trade:
            raise api_errors.order_rejected("This account may not place or cancel orders.")
        there = self._books.open_orders(account.account_id, symbol)
        names = [order.client_order_id for order in there]
        for request in requests:
            if request.client_order_id in names:
                raise api_errors.duplicate_order()
            names += [request.client_order_id] if request.client_order_id else []
        triggers = sum(kind.has_trigger for kind in [each.type for each in there] + [each.type for each in requests])
        filters.check_open_orders(self._market.instruments[symbol], len(there) + len(requests), triggers)

    def check_resting(self, request: OrderRequest, at_ms: int) -> None:
        """Refuse a trigger on the wrong side of the last price, and a post-only order that would trade at once.

        Raises:
            ApiError: -2010.
        """
        if request.type is OrderType.LIMIT_MAKER:
            levels = matching.take_levels(self._market, request.symbol, request.side, at_ms)
            if matching.reach(levels, request.side, request.price):
                raise api_errors.order_rejected("Order would immediately match and take.")
            return
        last = self._market.price(request.symbol, at_ms)
        if last <= request.stop_price if request.is_falling_trigger else last >= request.stop_price:
            raise api_errors.order_rejected("Order would trigger immediately.")

    def rest(
        self, account: Account, request: OrderRequest, at_ms: int, list_id: int = NO_LIST, lock: Decimal | None = None
    ) -> Order:
        """Book an order without trading it yet, and lock what it needs or, of an OCO, what is given.

        Raises:
            ApiError: -2010 for insufficient balance.
        """
        return self._ledger.open(account, request, at_ms, list_id, needed_lock(request) if lock is None else lock)

    def cancel(self, order: Order, at_ms: int) -> Order:
        """Cancel an open order; one of an OCO takes its sibling with it."""
        with self._books.transaction():
            for sibling in self._ledger.open_siblings(order):
                self._ledger.close(sibling, OrderStatus.CANCELED, at_ms)
            return self._ledger.close(order, OrderStatus.CANCELED, at_ms)

    def _reject(self, account: Account, request: OrderRequest, at_ms: int, reason: str) -> Order:
        if reason != _NO_REASON:
            raise api_errors.order_rejected(reason)
        order = self.rest(account, request, at_ms, lock=ZERO)
        return self._books.save_order(changed(order, status=OrderStatus.REJECTED))

    def _place_market(self, account: Account, request: OrderRequest, at_ms: int) -> Order:
        instrument = self._market.instruments[request.symbol]
        levels = matching.take_levels(self._market, request.symbol, request.side, at_ms)
        if not levels:
            raise api_errors.no_orders_on_book()
        if request.quote_quantity:
            fills = matching.walk_quote(levels, request.quote_quantity, instrument.step_size)
            quantity = matching.total_quantity(fills)
            filters.check_quantity(instrument, quantity, at_market=True)
        else:
            fills = matching.walk_quantity(levels, request.quantity)
            quantity = request.quantity
        lock = matching.total_quote(fills) if request.side is Side.BUY else quantity
        order = self.rest(account, request, at_ms, lock=lock)
        return self._take(account, changed(order, quantity=quantity), fills, at_ms)

    # Trading

    def _fills_within_limit(self, order: Order, at_ms: int) -> list[Fill]:
        levels = matching.take_levels(self._market, order.symbol, order.side, at_ms)
        fills = matching.walk_quantity(matching.reach(levels, order.side, order.price), order.remaining)
        is_whole = matching.total_quantity(fills) == order.remaining
        return [] if order.time_in_force is TimeInForce.FOK and not is_whole else fills

    def _take(self, account: Account, order: Order, fills: list[Fill], at_ms: int) -> Order:
        """Fill an order from the book at once; what is left rests or expires by its terms."""
        order = self._fill_all(account, order, fills, at_ms, is_maker=False)
        if not order.is_open or (order.type.has_price and order.time_in_force is TimeInForce.GTC):
            return order
        reason = "INSUFFICIENT_LIQUIDITY"
        if order.type.has_price:
            is_fok = order.time_in_force is TimeInForce.FOK
            reason = "UNFILLED_FOK_ORDER_EXPIRED" if is_fok else "UNFILLED_IOC_QUANTITY_EXPIRED"
        return self._ledger.close(order, OrderStatus.EXPIRED, at_ms, reason)

    def _fill_all(self, account: Account, order: Order, fills: list[Fill], at_ms: int, *, is_maker: bool) -> Order:
        order = self._ledger.take_over(order, at_ms)
        fault = self._faults.take("partial_fill", order.symbol) if fills else None
        if fault is not None:
            step = self._market.instruments[order.symbol].step_size
            part = matching.total_quantity(fills) * Decimal(str(fault.params["fraction"]))
            fills = matching.cut_short(fills, matching.to_steps(part, step))
        for fill in fills:
            order = self._ledger.fill(account, order, fill, at_ms, is_maker=is_maker)
        order = self._ledger.release(changed(order, seen_ms=at_ms))
        if fault is not None and order.is_open:
            return self._leave_rest(order, fault, at_ms)
        return self._ledger.save(order, at_ms)

    def _leave_rest(self, order: Order, fault: Fault, at_ms: int) -> Order:
        if fault.params["rest"] == "expired":
            return self._ledger.close(order, OrderStatus.EXPIRED, at_ms, "INSUFFICIENT_LIQUIDITY")
        hold_ms = int(float(fault.params["hold_seconds"]) * 1000)
        return self._ledger.save(changed(order, seen_ms=at_ms + hold_ms), at_ms)

    # The passage of time

    def settle(self, account: Account, now_ms: int) -> None:
        """Book what the price path has done to an account's open orders up to now, in the order it happened."""
        events = [
            event
            for order in self._books.open_orders(account.account_id)
            if (event := self._look(order, now_ms)) is not None
        ]
        heapq.heapify(events)
        while events:
            event = heapq.heappop(events)
            order_now = self._books.order(event.symbol, event.order_id)
            if order_now is None or not order_now.is_open:
                continue  # its OCO sibling came first
            with self._books.transaction():
                after = self._happen(account, order_now, event.at_ms)
            following = self._next_event(after, now_ms)
            if following is not None:
                heapq.heappush(events, following)

    def _look(self, order: Order, now_ms: int) -> _Event | None:
        if order.symbol not in self._market.instruments:
            with self._books.transaction():
                self._ledger.close(order, OrderStatus.EXPIRED, now_ms, "EXCHANGE_CANCELED")
            return None
        event = self._next_event(order, now_ms)
        if event is None and now_ms - order.seen_ms > SEEN_EVERY_MS:
            self._books.save_order(changed(order, seen_ms=now_ms))
        return event

    def _next_event(self, order: Order, now_ms: int) -> _Event | None:
        if not order.is_open or self._market.status(order.symbol) != "TRADING":
            return None
        at_ms = matching.find_crossing(
            self._market,
            order.symbol,
            order.stop_price if order.is_waiting else order.price,
            falling=order.waits_below,
            from_ms=order.seen_ms,
            to_ms=now_ms,
        )
        return None if at_ms is None else _Event(at_ms, order.symbol, order.order_id)

    def _happen(self, account: Account, order: Order, at_ms: int) -> Order:
        if not order.is_waiting:
            fills = [Fill(order.price, order.remaining)]
            return self._fill_all(account, order, fills, at_ms, is_maker=True)
        order = self._ledger.take_over(order, at_ms)
        order = changed(order, working_at_ms=at_ms, updated_at_ms=at_ms, seen_ms=at_ms)
        if order.type.has_price:
            return self._take(account, order, self._fills_within_limit(order, at_ms), at_ms)
        return self._take_at_market(account, order, at_ms)

    def _take_at_market(self, account: Account, order: Order, at_ms: int) -> Order:
        """Fill a triggered order without limit; a buy may cost more than was locked and draws on what is free."""
        levels = matching.take_levels(self._market, order.symbol, order.side, at_ms)
        fills = matching.walk_quantity(levels, order.remaining)
        missing = matching.total_quote(fills) - order.locked
        if order.side is Side.BUY and missing > 0:
            free = self._books.balance(order.account_id, order.locked_asset).free
            order = self._ledger.lock(order, min(missing, free))
            step = self._market.instruments[order.symbol].step_size
            fills = matching.walk_quote(matching.to_levels(fills), order.locked, step)
        return self._take(account, order, fills, at_ms)
