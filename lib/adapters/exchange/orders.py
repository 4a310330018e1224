"""Orders of an account at a Binance-like exchange. The port `OrderVenue`.

Each new order carries the time of its stored attempt as its timestamp and a short recvWindow: the exchange refuses it
when it arrives later (-1021), so a process that was frozen, or a packet that was held up, cannot book an order after
somebody has found it absent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from lib.adapters.exchange.account import FILLS_WEIGHT, MOST_FILLS
from lib.adapters.exchange.account_answers import find_newest_fill, to_fills
from lib.adapters.exchange.binance import to_id
from lib.adapters.exchange.link import Link, Request
from lib.adapters.exchange.order_answers import (
    check_fills,
    to_list_rows,
    to_order_ids,
    to_permissions,
    to_report,
    to_reports,
)
from lib.errors import BadAnswer, FksError, OrderNotSent, OutcomeUnknown, SettingsError, UnknownOrder
from lib.execution.orders import OrderIntent, OrderKind, OrderReport, find_difference
from lib.execution.venue import KeyPermissions
from lib.portfolio.fills import Fill
from lib.units import EPOCH, to_milliseconds

ORDER_WEIGHT = 1
QUERY_WEIGHT = 4
ORDER_FILLS_WEIGHT = 5
OPEN_ORDERS_WEIGHT = 80
PERMISSIONS_WEIGHT = 1
WINDOW = timedelta(seconds=5)
ORDERS_PER_WINDOW = 100  # Binance's limit for an account; 90 leaves some to a person on the same account
ORDERS_WE_PLACE = 90
COUNT_WINDOW = timedelta(seconds=10)
# What an order has filled at once lies in this span around its attempt, whatever the clocks say.
BEFORE, AFTER = timedelta(seconds=2), timedelta(minutes=2)


class BinanceOrders:
    """The orders of one account; shares the connection of its `BinanceAccount`, which closes it.

    Args:
        link: The account's connection.
        account: Our name of it.
        window: How late after its attempt an order may arrive.
    """

    def __init__(self, link: Link, account: str, *, window: timedelta = WINDOW) -> None:
        self.account = account
        self._link = link
        self._window = window
        self._counted: tuple[datetime, int] = (EPOCH, 0)

    async def submit(self, intent: OrderIntent, attempted_at: datetime) -> OrderReport:
        """See `OrderVenue`."""
        params = _to_params(intent) | await self._prepare(intent, attempted_at)
        request = Request(_name(intent), ORDER_WEIGHT, partial(self._link.client.privatePostOrder, params))
        return self._check_placed(await self._send(request), intent)

    async def submit_list(self, intents: Sequence[OrderIntent], attempted_at: datetime) -> Sequence[OrderReport]:
        """See `OrderVenue`."""
        stop, target = intents
        params = _to_list_params(stop, target) | await self._prepare(stop, attempted_at)
        call = partial(self._link.client.privatePostOrderListOco, params)
        answer = await self._send(Request(f"list of {_name(stop)}", ORDER_WEIGHT, call))
        where = f"{self._link.name} list of {_name(stop)}"
        try:
            rows = to_list_rows(answer, where)
        except BadAnswer as error:
            raise OutcomeUnknown(f"{error} It may have been placed.") from error
        return [self._check_placed(rows.get(one.client_order_id), one) for one in intents]

    async def find(self, symbol: str, client_order_id: str, since: datetime) -> OrderReport | None:
        """See `OrderVenue`.

        By its name, then by the account's fills of that time: an exchange's list of orders may lag behind. An open
        order that both miss cannot become two either, because a name may be open only once.
        """
        params = {"symbol": to_id(symbol), "origClientOrderId": client_order_id}
        report = await self._query(symbol, params, f"order {client_order_id} of {symbol}")
        if report is not None:
            return report
        for order_id in await self._find_filled(symbol, since):
            report = await self.fetch_order(symbol, str(order_id))
            if report is not None and report.client_order_id == client_order_id:
                return report
        return None

    async def fetch_order(self, symbol: str, order_id: str) -> OrderReport | None:
        """See `OrderVenue`."""
        return await self._query(
            symbol, {"symbol": to_id(symbol), "orderId": order_id}, f"order {order_id} of {symbol}"
        )

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        """See `OrderVenue`."""
        await self._measure()
        params = {"symbol": to_id(symbol), "origClientOrderId": client_order_id}
        call = partial(self._link.client.privateDeleteOrder, params)
        await self._link.send_once(Request(f"cancelling {client_order_id} of {symbol}", ORDER_WEIGHT, call, symbol))

    async def fetch_open_orders(self, symbols: Collection[str]) -> Sequence[OrderReport]:
        """See `OrderVenue`."""
        what = f"open orders of {self.account}"
        answer = await self._ask(Request(what, OPEN_ORDERS_WEIGHT, self._link.client.privateGetOpenOrders))
        return to_reports(answer, where=f"{self._link.name} {what}", names={to_id(one): one for one in symbols})

    async def fetch_order_fills(self, report: OrderReport) -> Sequence[Fill]:
        """See `OrderVenue`."""
        what = f"fills of order {report.order_id} of {report.symbol}"
        params = {"symbol": to_id(report.symbol), "orderId": report.order_id, "limit": MOST_FILLS}
        call = partial(self._link.client.privateGetMyTrades, params)
        answer = await self._ask(Request(what, ORDER_FILLS_WEIGHT, call, report.symbol))
        where = f"{self._link.name} {what}"
        fills = to_fills(
            answer,
            where=where,
            account=self.account,
            symbol=report.symbol,
            from_id=0,
            limit=MOST_FILLS,
            latest=await self._link.latest_instant(find_newest_fill(answer)),
        )
        check_fills(fills, report, where)
        return fills

    async def fetch_permissions(self) -> KeyPermissions:
        """See `OrderVenue`."""
        if "sapi" not in self._link.client.urls["api"]:
            raise SettingsError(
                f"{self._link.name}'s test network does not tell what a key may do, and no order is sent before "
                "that is known. Remove FKS_EXCHANGE_SANDBOX; to try orders, take the simulator or a paper account."
            )
        what = f"permissions of the key of {self.account}"
        call = self._link.client.sapiGetAccountApiRestrictions
        return to_permissions(await self._ask(Request(what, PERMISSIONS_WEIGHT, call)), f"{self._link.name} {what}")

    async def _prepare(self, intent: OrderIntent, attempted_at: datetime) -> dict[str, Any]:
        """Return the parameters that fence the request in time; what fails before it is sent is no doubt about it."""
        try:
            await self._measure()
        except FksError as error:
            raise OrderNotSent(f"{_name(intent)} was not sent: {error}") from error
        window, count = self._counted
        if window == self._window_now() and count >= ORDERS_WE_PLACE:
            raise OrderNotSent(
                f"{_name(intent)} was not sent: {count} of {ORDERS_PER_WINDOW} orders in ten seconds are placed."
            )
        offset = self._link.clock_offset or timedelta()
        if self._link.exchange_now() - (attempted_at + offset) > self._window:
            raise OrderNotSent(f"{_name(intent)} was not sent: its attempt is older than {self._window}.")
        window_ms = self._window // timedelta(milliseconds=1)
        return {"timestamp": to_milliseconds(attempted_at + offset), "recvWindow": window_ms}

    async def _send(self, request: Request) -> Any:
        try:
            answer, reply = await self._link.send_once(request)
        except OrderNotSent:
            self._link.clock_offset = None  # the timestamp may be why: it is measured again before the next one
            raise
        if reply.order_count is not None:
            self._counted = (self._window_now(), reply.order_count)
        return answer

    def _window_now(self) -> datetime:
        return EPOCH + (self._link.exchange_now() - EPOCH) // COUNT_WINDOW * COUNT_WINDOW

    def _check_placed(self, answer: Any, intent: OrderIntent) -> OrderReport:
        where = f"{self._link.name} {_name(intent)}"
        try:
            report = to_report(answer, where=where, names={to_id(intent.symbol): intent.symbol})
        except BadAnswer as error:
            raise OutcomeUnknown(f"{error} It may have been placed.") from error
        if difference := find_difference(intent, report):
            raise OutcomeUnknown(f"Bad answer in {where}: {difference}. It may have been placed.")
        return report

    async def _query(self, symbol: str, params: dict[str, Any], what: str) -> OrderReport | None:
        call = partial(self._link.client.privateGetOrder, params)
        try:
            answer = await self._ask(Request(what, QUERY_WEIGHT, call, symbol))
        except UnknownOrder:
            return None
        return to_report(answer, where=f"{self._link.name} {what}", names={to_id(symbol): symbol})

    async def _find_filled(self, symbol: str, since: datetime) -> list[int]:
        offset = self._link.clock_offset or timedelta()
        params = {
            "symbol": to_id(symbol),
            "startTime": to_milliseconds(since + offset - BEFORE),
            "endTime": to_milliseconds(since + offset + AFTER),
            "limit": MOST_FILLS,
        }
        what = f"fills of {symbol} since {since:%Y-%m-%d %H:%M:%S}"
        call = partial(self._link.client.privateGetMyTrades, params)
        return to_order_ids(
            await self._ask(Request(what, FILLS_WEIGHT, call, symbol)), where=f"{self._link.name} {what}"
        )

    async def _ask(self, request: Request) -> Any:
        await self._measure()
        return await self._link.send(request)

    async def _measure(self) -> None:
        if self._link.clock_offset is None:
            await self._link.measure_offset()


def _name(intent: OrderIntent) -> str:
    return f"order {intent.client_order_id} ({intent.side} {intent.quantity:f} {intent.symbol})"


def _to_params(intent: OrderIntent) -> dict[str, Any]:
    params: dict[str, Any] = {
        "symbol": to_id(intent.symbol),
        "side": intent.side.upper(),
        "type": intent.kind.upper(),
        "quantity": f"{intent.quantity:f}",
        "newClientOrderId": intent.client_order_id,
        "newOrderRespType": "RESULT",
    }
    if intent.kind is not OrderKind.MARKET:
        params["price"] = f"{intent.limit_price:f}"
    if intent.kind in (OrderKind.LIMIT, OrderKind.STOP_LOSS_LIMIT):
        params["timeInForce"] = intent.time_in_force.upper()
    if intent.stop_price is not None:
        params["stopPrice"] = f"{intent.stop_price:f}"
    return params


def _to_list_params(stop: OrderIntent, target: OrderIntent) -> dict[str, Any]:
    """Return an OCO that sells: the limit maker above the market, the stop-loss limit below (Binance, "New OCO")."""
    return {
        "symbol": to_id(stop.symbol),
        "side": stop.side.upper(),
        "quantity": f"{stop.quantity:f}",
        "aboveType": target.kind.upper(),
        "aboveClientOrderId": target.client_order_id,
        "abovePrice": f"{target.limit_price:f}",
        "belowType": stop.kind.upper(),
        "belowClientOrderId": stop.client_order_id,
        "belowStopPrice": f"{stop.stop_price:f}",
        "belowPrice": f"{stop.limit_price:f}",
        "belowTimeInForce": stop.time_in_force.upper(),
        "newOrderRespType": "RESULT",
    }
