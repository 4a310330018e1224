"""Orders at a Binance-like server: what is sent, and what each answer means."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account
from lib.adapters.exchange.orders import ORDERS_WE_PLACE, BinanceOrders
from lib.errors import BadAnswer, FksError, OrderNotSent, OrderRefused, OutcomeUnknown, SettingsError, UnknownOrder
from lib.execution.orders import OrderKind, OrderReport, OrderState, TimeInForce
from lib.execution.venue import KeyPermissions
from lib.portfolio.fills import Side
from tests.adapters.exchange.peer import GARBAGE, NOW, Answer, DrivenClock, Peer, fill_row, milliseconds
from tests.execution.test_orders import intend

MARKET = intend(created_at=NOW)
LIMIT = intend(
    kind=OrderKind.LIMIT, side=Side.SELL, limit_price=Decimal("50000.10"), time_in_force=TimeInForce.IOC, created_at=NOW
)
STOP = intend(kind=OrderKind.STOP_LOSS_LIMIT, limit_price=Decimal(45), stop_price=Decimal(46), created_at=NOW)


def order_row(**changes: Any) -> dict[str, Any]:
    """An order as Binance writes it."""
    return {
        "symbol": "BTCUSDT",
        "orderId": 7,
        "orderListId": -1,
        "clientOrderId": "fks-1",
        "price": "0.00000000",
        "origQty": "0.50000000",
        "executedQty": "0.50000000",
        "cummulativeQuoteQty": "25000.00000000",
        "status": "FILLED",
        "timeInForce": "GTC",
        "type": "MARKET",
        "side": "BUY",
        "time": milliseconds(NOW),
    } | changes


def refusal(status: int, code: int, message: str = "because") -> Answer:
    return Answer({"code": code, "msg": message}, status)


@pytest.fixture
def orders(account: BinanceAccount) -> BinanceOrders:
    return BinanceOrders(account.link, "main")


async def test_an_order_is_sent_exactly_and_read_exactly(orders: BinanceOrders, peer: Peer) -> None:
    peer.reply("order", order_row(status="PARTIALLY_FILLED", executedQty="0.12500000"))
    report = await orders.submit(MARKET, NOW)
    assert report == OrderReport(
        "fks-1",
        "7",
        "BTC/USDT",
        Side.BUY,
        "MARKET",
        OrderState.PARTIALLY_FILLED,
        Decimal("0.5"),
        Decimal("0.125"),
        None,
        NOW.replace(microsecond=0),
    )
    sent = peer.asked[-1].query
    assert sent.pop("signature")
    assert sent == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "0.5",
        "newClientOrderId": "fks-1",
        "newOrderRespType": "RESULT",
        "recvWindow": "5000",
        "timestamp": str(milliseconds(NOW)),
    }


async def test_limits_and_stops_say_their_prices(orders: BinanceOrders, peer: Peer) -> None:
    peer.reply("order", order_row(side="SELL", price="50000.10000000", status="EXPIRED", executedQty="0.00000000"))
    assert (await orders.submit(LIMIT, NOW)).price == Decimal("50000.1")
    sent = peer.asked[-1].query
    assert (sent["type"], sent["price"], sent["timeInForce"]) == ("LIMIT", "50000.10", "IOC")
    peer.reply("order", order_row(status="NEW", executedQty="0.00000000"))
    await orders.submit(STOP, NOW)
    sent = peer.asked[-1].query
    assert (sent["type"], sent["price"], sent["stopPrice"]) == ("STOP_LOSS_LIMIT", "45", "46")


REFUSED = {
    "a filter": refusal(400, -1013, "Filter failure: LOT_SIZE"),
    "the notional": refusal(400, -1013, "Filter failure: NOTIONAL"),
    "funds": refusal(400, -2010, "Account has insufficient balance for requested action."),
    "a duplicate": refusal(400, -2010, "Duplicate order sent."),
    "a closed market": refusal(400, -1013, "Market is closed."),
    "a parameter": refusal(400, -1104),
    "the symbol": refusal(400, -1121),
    "the key": refusal(401, -2015),
    "the signature": refusal(400, -1022),
}
NOT_SENT = {
    "too many requests": Answer({"code": -1003, "msg": "wait"}, 429, {"Retry-After": "7"}),
    "too many orders": Answer({"code": -1015, "msg": "wait"}, 429, {"Retry-After": "7"}),
    "a ban": Answer({"code": -1003, "msg": "wait"}, 418, {"Retry-After": "7"}),
    "the timestamp": refusal(400, -1021),
}
UNKNOWN = {
    "a backend's timeout": refusal(504, -1007),
    "an unexpected backend": refusal(400, -1006),
    "a disconnected backend": refusal(400, -1001),
    "an overloaded exchange": refusal(400, -1008),
    "an unknown error": refusal(500, -1000),
    "500": Answer("", 500),
    "502": Answer("<html>Bad gateway</html>", 502, content_type="text/html"),
    "503 that speaks of a filter": refusal(503, -1013),
    "a firewall": Answer("<html>WAF</html>", 403, content_type="text/html"),
    "a proxy": Answer("", 407),
    "an error with status 200": refusal(200, -2010),
    "a dropped connection": Answer(drop=True),
    "a broken encoding": Answer(b"not gzip", headers={"Content-Encoding": "gzip"}),
    "another order's name": Answer(order_row(clientOrderId="other")),
    "another quantity": Answer(order_row(origQty="0.60000000")),
    "another side": Answer(order_row(side="SELL")),
    "more filled than ordered": Answer(order_row(executedQty="0.60000000")),
    "filled without having filled": Answer(order_row(executedQty="0.40000000")),
    "a strange status": Answer(order_row(status="DONE")),
    "an id as text": Answer(order_row(orderId="7")),
    "a quantity as a number": Answer(order_row(origQty=0.5)),
    "an acknowledgement without its terms": Answer({"symbol": "BTCUSDT", "orderId": 7, "clientOrderId": "fks-1"}),
    **GARBAGE,
}
OUTCOMES: list[tuple[str, Answer, type[FksError]]] = [
    (f"{error.__name__}: {name}", answer, error)
    for error, answers in ((OrderRefused, REFUSED), (OrderNotSent, NOT_SENT), (OutcomeUnknown, UNKNOWN))
    for name, answer in answers.items()
]


@pytest.mark.parametrize(("answer", "error"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
async def test_each_failure_says_whether_the_order_may_be_there_and_is_never_sent_twice(
    orders: BinanceOrders, peer: Peer, answer: Answer, error: type[FksError]
) -> None:
    peer.reply("order", answer)
    with pytest.raises(error) as caught:
        await orders.submit(MARKET, NOW)
    assert caught.type is error
    assert peer.count("order") == 1
    assert "fks-1" in str(caught.value)
    assert "the-api" not in repr(caught.value)


async def test_silence_is_unknown(account: BinanceAccount, orders: BinanceOrders, peer: Peer) -> None:
    await account.link.measure_offset()
    account.link.client.timeout = 100
    peer.reply("order", Answer(hang=True))
    with pytest.raises(OutcomeUnknown):
        await orders.submit(MARKET, NOW)


async def test_where_nobody_listens_nothing_was_sent(ledger: BudgetStore, clock: DrivenClock, peer: Peer) -> None:
    made = make_account(Venue("simulator", url="http://127.0.0.1:9"), "main", "k", "s", ledger=ledger, clock=clock)
    made.link.clock_offset = timedelta()
    with pytest.raises(OrderNotSent):
        await BinanceOrders(made.link, "main").submit(MARKET, NOW)
    await made.close()


async def test_without_weight_nothing_is_sent(orders: BinanceOrders, peer: Peer, ledger: BudgetStore) -> None:
    peer.reply("order", order_row())
    await orders.submit(MARKET, NOW)
    ledger.pause(peer.url.removeprefix("http://"), NOW, timedelta(minutes=5), banned=True)
    with pytest.raises(OrderNotSent, match="asked for a pause"):
        await orders.submit(MARKET, NOW)
    assert peer.count("order") == 1


async def test_an_attempt_that_is_too_old_is_not_sent_at_all(
    orders: BinanceOrders, peer: Peer, clock: DrivenClock
) -> None:
    clock.move(seconds=6)
    with pytest.raises(OrderNotSent, match="older than 0:00:05"):
        await orders.submit(MARKET, NOW)
    assert peer.count("order") == 0


async def test_the_timestamp_is_the_attempts_by_the_exchanges_clock(
    orders: BinanceOrders, peer: Peer, clock: DrivenClock
) -> None:
    peer.ahead = timedelta(minutes=3)
    peer.reply("order", order_row())
    clock.move(seconds=2)
    await orders.submit(MARKET, NOW)
    assert peer.asked[-1].query["timestamp"] == str(milliseconds(NOW + timedelta(minutes=3)))


async def test_after_a_refused_timestamp_the_clock_is_measured_again(orders: BinanceOrders, peer: Peer) -> None:
    peer.reply("order", refusal(400, -1021), order_row())
    with pytest.raises(OrderNotSent):
        await orders.submit(MARKET, NOW)
    await orders.submit(MARKET, NOW)
    assert peer.count("time") == 2


async def test_the_exchanges_count_of_orders_is_respected_until_its_next_ten_seconds(
    orders: BinanceOrders, peer: Peer, clock: DrivenClock
) -> None:
    peer.reply("order", Answer(order_row(), headers={"X-MBX-ORDER-COUNT-10S": str(ORDERS_WE_PLACE)}))
    await orders.submit(MARKET, NOW)
    with pytest.raises(OrderNotSent, match="90 of 100 orders"):
        await orders.submit(MARKET, NOW)
    clock.move(seconds=10)
    await orders.submit(MARKET, clock.now())
    assert peer.count("order") == 2


async def test_an_order_is_found_by_its_name(orders: BinanceOrders, peer: Peer) -> None:
    peer.reply("order", order_row(status="CANCELED", executedQty="0.10000000"))
    report = await orders.find("BTC/USDT", "fks-1", NOW)
    assert report is not None
    assert (report.state, report.executed) == (OrderState.CANCELLED, Decimal("0.1"))
    assert peer.asked[-1].query["origClientOrderId"] == "fks-1"


async def test_an_order_that_the_list_does_not_have_yet_is_found_by_its_fills(
    orders: BinanceOrders, peer: Peer
) -> None:
    absent = refusal(400, -2013, "Order does not exist.")
    peer.reply("order", absent, order_row(orderId=6, clientOrderId="by-hand"), order_row())
    peer.reply("myTrades", [fill_row(1, orderId=6), fill_row(2, orderId=6), fill_row(3)])
    report = await orders.find("BTC/USDT", "fks-1", NOW)
    assert report is not None
    assert report.order_id == "7"
    assert peer.count("order") == 3
    asked = next(asked for asked in peer.asked if asked.endpoint == "myTrades").query
    assert int(asked["startTime"]) < milliseconds(NOW) < int(asked["endTime"])


async def test_absence_is_what_the_orders_and_the_fills_say_together(orders: BinanceOrders, peer: Peer) -> None:
    peer.reply("order", refusal(400, -2013))
    peer.reply("myTrades", [])
    assert await orders.find("BTC/USDT", "fks-1", NOW) is None
    peer.reply("myTrades", Answer("", 500))
    with pytest.raises(FksError):
        await orders.find("BTC/USDT", "fks-1", NOW)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_never_taken_for_absence(orders: BinanceOrders, peer: Peer, garbage: Answer) -> None:
    peer.reply("order", garbage)
    with pytest.raises(BadAnswer):
        await orders.find("BTC/USDT", "fks-1", NOW)
    peer.reply("order", refusal(400, -2013))
    peer.reply("myTrades", garbage)
    with pytest.raises(BadAnswer):
        await orders.find("BTC/USDT", "fks-1", NOW)
    peer.reply("account/apiRestrictions", garbage)
    with pytest.raises(BadAnswer):
        await orders.fetch_permissions()


async def test_an_orders_fills_are_its_own(orders: BinanceOrders, peer: Peer) -> None:
    peer.reply("order", order_row())
    report = await orders.submit(MARKET, NOW)
    peer.reply("myTrades", [fill_row(1, qty="0.2"), fill_row(2, qty="0.3")])
    assert [fill.quantity for fill in await orders.fetch_order_fills(report)] == [Decimal("0.2"), Decimal("0.3")]
    for rows in ([fill_row(1, orderId=8)], [fill_row(1, isBuyer=False)], [fill_row(1, qty="0.6")]):
        peer.reply("myTrades", rows)
        with pytest.raises(BadAnswer):
            await orders.fetch_order_fills(report)


async def test_cancelling_says_when_there_was_nothing_to_cancel(orders: BinanceOrders, peer: Peer) -> None:
    peer.reply("order", order_row(status="CANCELED"))
    await orders.cancel("BTC/USDT", "fks-1")
    peer.reply("order", refusal(400, -2011, "Unknown order sent."))
    with pytest.raises(UnknownOrder):
        await orders.cancel("BTC/USDT", "fks-1")
    peer.reply("order", refusal(504, -1007))
    with pytest.raises(OutcomeUnknown):
        await orders.cancel("BTC/USDT", "fks-1")


async def test_open_orders_of_unknown_symbols_keep_the_exchanges_name(orders: BinanceOrders, peer: Peer) -> None:
    there = {"status": "NEW", "executedQty": "0.00000000", "type": "LIMIT_MAKER", "price": "1.00000000"}
    peer.reply("openOrders", [order_row(**there, symbol="XYZEUR", time=5), order_row(**there, time=4)])
    first, second = await orders.fetch_open_orders(["BTC/USDT"])
    assert (first.symbol, second.symbol, first.kind) == ("BTC/USDT", "XYZEUR", "LIMIT_MAKER")
    assert first == replace(second, symbol="BTC/USDT", created_at=first.created_at)


async def test_any_way_for_money_to_leave_is_a_permission_to_withdraw(orders: BinanceOrders, peer: Peer) -> None:
    may = {"enableWithdrawals": False, "enableSpotAndMarginTrading": True, "enableInternalTransfer": False}
    peer.reply("account/apiRestrictions", may)
    assert await orders.fetch_permissions() == KeyPermissions(may_trade=True, may_withdraw=False)
    for way in ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer"):
        peer.reply("account/apiRestrictions", may | {way: True})
        assert (await orders.fetch_permissions()).may_withdraw
    peer.reply("account/apiRestrictions", {"enableSpotAndMarginTrading": True})
    with pytest.raises(BadAnswer):
        await orders.fetch_permissions()


async def test_a_test_network_that_does_not_tell_what_a_key_may_do_is_named_with_the_remedy(
    ledger: BudgetStore, clock: DrivenClock
) -> None:
    made = make_account(Venue("binance", sandbox=True), "main", "k", "s", ledger=ledger, clock=clock)
    with pytest.raises(
        SettingsError, match=r"binance's test network .* no order is sent .* Remove FKS_EXCHANGE_SANDBOX"
    ):
        await BinanceOrders(made.link, "main").fetch_permissions()
    await made.close()
