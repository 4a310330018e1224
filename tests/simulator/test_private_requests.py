"""The signed endpoints over HTTP: who may call, what is refused, and the exact form of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from lib.simulator.signing import sign
from tests.simulator.signed_client import SignedClient, trader
from tests.simulators import START_AT, RunningSimulator

NOW_MS = int(START_AT.timestamp() * 1000)
DAY_MS = 86_400_000


UNREAD = "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."
NO_AMOUNT = "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
WOULD_TAKE = "Order would immediately match and take."


def missing(name: str) -> str:
    return f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def illegal(name: str, legal_range: str) -> str:
    return f"Illegal characters found in parameter '{name}'; legal range is '{legal_range}'."


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[SignedClient]:
    """The client of an account with 100 000 USDT and 2 BTC; BTC stands at 50 000."""
    simulator.control.scenario("flat")
    simulator.control.set_price("BTCUSDT", "50000")
    with trader(simulator) as opened:
        yield opened


def limit_order(**changed: Any) -> dict[str, Any]:
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.5",
        "price": "49000",
    }
    return {name: value for name, value in {**order, **changed}.items() if value is not None}


def market_order(**changed: Any) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", **changed}


def kinds(answer: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in answer.items()}


# Who calls


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, -2014),
        ({"X-MBX-APIKEY": "not a key"}, 401, -2014),
        ({"X-MBX-APIKEY": "nobody"}, 401, -2015),
    ],
)
def test_a_request_without_a_known_key_is_refused(
    client: SignedClient, headers: dict[str, str], status: int, code: int
) -> None:
    reply = client.client.get(f"/api/v3/account?{client.to_query({})}", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_a_wrong_secret_and_an_old_timestamp_are_refused(client: SignedClient) -> None:
    assert client.refusal("GET", "/account", timestamp=NOW_MS - 5001)[:2] == (400, -1021)
    assert client.refusal("GET", "/account", timestamp=NOW_MS + 1000)[:2] == (400, -1021)
    client.secret = "wrong"
    assert client.refusal("GET", "/account") == (400, -1022, "Signature for this request is not valid.")


def test_parameters_are_taken_from_query_form_or_both(client: SignedClient) -> None:
    headers = {"X-MBX-APIKEY": client.key}
    in_form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    order = market_order(timestamp=NOW_MS)
    whole = client.to_query(order)
    assert client.client.post("/api/v3/order", content=whole, headers=in_form).status_code == 200
    query, body = "symbol=BTCUSDT&side=BUY&type=MARKET", f"quantity=0.01&timestamp={NOW_MS}"
    signed = f"{body}&signature={sign(client.secret, query + body)}"
    assert client.client.post(f"/api/v3/order?{query}", content=signed, headers=in_form).status_code == 200
    as_json = {**headers, "Content-Type": "application/json;charset=utf-8"}
    assert client.client.post(f"/api/v3/order?{whole}", content=b"{}", headers=as_json).status_code == 200
    placed = client.post("/order", **limit_order())
    cancel = client.to_query({"symbol": "BTCUSDT", "orderId": placed["orderId"]})
    assert client.client.request("DELETE", "/api/v3/order", content=cancel, headers=in_form).status_code == 200


# What is refused


@pytest.mark.parametrize(
    ("order", "code", "message"),
    [
        (limit_order(stopLossPrice="1"), -1104, UNREAD),
        (limit_order(symbol="btcusdt"), -1100, illegal("symbol", "^[A-Z0-9-_.]{1,20}$")),
        (limit_order(symbol="NOUSDT"), -1121, "Invalid symbol."),
        (limit_order(symbol=None), -1102, missing("symbol")),
        (limit_order(symbol=""), -1105, "Parameter 'symbol' was empty."),
        (limit_order(side="HOLD"), -1117, "Invalid side."),
        (limit_order(type="TRAILING"), -1116, "Invalid orderType."),
        (limit_order(timeInForce="GTX"), -1115, "Invalid timeInForce."),
        (limit_order(timeInForce=None), -1102, missing("timeInForce")),
        (limit_order(stopPrice="48000"), -1106, "Parameter 'stopPrice' sent when not required."),
        (limit_order(type="LIMIT_MAKER"), -1106, "Parameter 'timeInForce' sent when not required."),
        (limit_order(quantity="0.5e-1"), -1100, illegal("quantity", r"^([0-9]{1,20})(\.[0-9]{1,20})?$")),
        (limit_order(quantity="0.123456789"), -1111, "Parameter 'quantity' has too much precision."),
        (limit_order(quantity="0.000001"), -1013, "Filter failure: LOT_SIZE"),
        (limit_order(price="49000.001"), -1013, "Filter failure: PRICE_FILTER"),
        (limit_order(price="1"), -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        (limit_order(quantity="0.0001"), -1013, "Filter failure: NOTIONAL"),
        (limit_order(quantity="3"), -2010, "Account has insufficient balance for requested action."),
        (limit_order(newClientOrderId="not allowed!"), -1100, illegal("newClientOrderId", "^[a-zA-Z0-9-_]{1,36}$")),
        (limit_order(newOrderRespType="ALL"), -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
        (limit_order(icebergQty="0.1"), -2010, "Iceberg orders are not supported for this symbol."),
        (limit_order(type="LIMIT_MAKER", timeInForce=None, price="51000"), -2010, WOULD_TAKE),
        (market_order(price="50000"), -1106, "Parameter 'price' sent when not required."),
        (market_order(quoteOrderQty="500"), -1128, "Combination of optional parameters invalid."),
        (market_order(quantity="200"), -1013, "Filter failure: MARKET_LOT_SIZE"),
        ({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}, -1102, NO_AMOUNT),
        (market_order(side="SELL", type="STOP_LOSS", stopPrice="51000"), -2010, "Order would trigger immediately."),
        (market_order(side="SELL", type="STOP_LOSS", trailingDelta="100"), -1102, missing("stopPrice")),
    ],
)  # fmt: skip
def test_a_bad_order_is_answered_as_binance_answers_it(
    client: SignedClient, order: dict[str, Any], code: int, message: str
) -> None:
    assert client.refusal("POST", "/order", **order) == (400, code, message)
    assert client.get("/openOrders") == []


@pytest.mark.parametrize(
    ("method", "path", "parameters", "code"),
    [
        ("GET", "/order", {"symbol": "BTCUSDT", "orderId": 1}, -2013),
        ("GET", "/order", {"symbol": "BTCUSDT", "origClientOrderId": "nothing"}, -2013),
        ("GET", "/order", {"symbol": "BTCUSDT"}, -1102),
        ("DELETE", "/order", {"symbol": "BTCUSDT", "orderId": 1}, -2011),
        ("DELETE", "/order", {"symbol": "BTCUSDT", "orderId": 1, "cancelRestrictions": "SOME"}, -1145),
        ("DELETE", "/openOrders", {"symbol": "BTCUSDT"}, -2011),
        ("GET", "/openOrders", {"symbol": "NOUSDT"}, -1121),
        ("GET", "/allOrders", {}, -1102),
        ("GET", "/allOrders", {"symbol": "BTCUSDT", "limit": 0}, -1130),
        ("GET", "/allOrders", {"symbol": "BTCUSDT", "startTime": NOW_MS, "endTime": NOW_MS + DAY_MS + 1}, -1127),
        ("GET", "/myTrades", {}, -1102),
        ("GET", "/myTrades", {"symbol": "BTCUSDT", "startTime": NOW_MS, "endTime": NOW_MS + DAY_MS + 1}, -1127),
        ("GET", "/myTrades", {"symbol": "BTCUSDT", "fromId": 1, "startTime": NOW_MS}, -1128),
        ("GET", "/orderList", {"orderListId": 9}, -2013),
        ("GET", "/orderList", {}, -1128),
        ("DELETE", "/orderList", {"symbol": "BTCUSDT", "orderListId": 9}, -2011),
        ("GET", "/account", {"omitZeroBalances": "maybe"}, -1130),
    ],
)
def test_a_bad_query_is_answered_as_binance_answers_it(
    client: SignedClient, method: str, path: str, parameters: dict[str, Any], code: int
) -> None:
    assert client.refusal(method, path, **parameters)[:2] == (400, code)


# What is answered


def test_a_full_answer_to_a_market_order_has_binances_types(client: SignedClient) -> None:
    answer = client.post("/order", **market_order())
    assert kinds(answer) == {
        **{"symbol": str, "orderId": int, "orderListId": int, "clientOrderId": str, "transactTime": int},
        **{"price": str, "origQty": str, "executedQty": str, "origQuoteOrderQty": str, "cummulativeQuoteQty": str},
        **{"status": str, "timeInForce": str, "type": str, "side": str, "workingTime": int},
        **{"selfTradePreventionMode": str, "fills": list},
    }
    assert (answer["status"], answer["executedQty"], answer["price"]) == ("FILLED", "0.01000000", "0.00000000")
    fill = answer["fills"][0]
    assert kinds(fill) == {"price": str, "qty": str, "commission": str, "commissionAsset": str, "tradeId": int}
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00001000", "BTC")


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        (market_order(newOrderRespType="ACK"), 5),
        (market_order(newOrderRespType="RESULT"), 16),
        (limit_order(), 17),
        ({**limit_order(type="LIMIT_MAKER", timeInForce=None)}, 5),
        (limit_order(type="STOP_LOSS_LIMIT", side="SELL", stopPrice="49500"), 5),
    ],
)
def test_the_answer_to_a_new_order_is_as_long_as_asked_or_usual(
    client: SignedClient, order: dict[str, Any], fields: int
) -> None:
    assert len(client.post("/order", **order)) == fields


def test_a_queried_order_has_binances_types(client: SignedClient) -> None:
    placed = client.post("/order", **limit_order(newClientOrderId="mine"))
    by_id = client.get("/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert kinds(by_id) == {
        **{"symbol": str, "orderId": int, "orderListId": int, "clientOrderId": str, "price": str, "origQty": str},
        **{"executedQty": str, "origQuoteOrderQty": str, "cummulativeQuoteQty": str, "status": str, "type": str},
        **{"timeInForce": str, "side": str, "stopPrice": str, "icebergQty": str, "time": int, "updateTime": int},
        **{"isWorking": bool, "workingTime": int, "selfTradePreventionMode": str},
    }
    assert (by_id["price"], by_id["status"], by_id["time"]) == ("49000.00000000", "NEW", NOW_MS)
    assert client.get("/order", symbol="BTCUSDT", origClientOrderId="mine") == by_id
    assert client.get("/openOrders") == client.get("/allOrders", symbol="BTCUSDT") == [by_id]
    wrong = client.refusal("GET", "/order", symbol="BTCUSDT", orderId=placed["orderId"], origClientOrderId="other")
    assert wrong[1] == -2013


def test_a_waiting_trigger_says_that_it_does_not_work_yet(client: SignedClient) -> None:
    order = limit_order(type="STOP_LOSS_LIMIT", side="SELL", stopPrice="49500", newOrderRespType="FULL")
    placed = client.post("/order", **order)
    assert (placed["stopPrice"], placed["workingTime"], placed["fills"]) == ("49500.00000000", -1, [])
    assert client.get("/order", symbol="BTCUSDT", orderId=placed["orderId"])["isWorking"] is False


def test_a_canceled_order_tells_its_own_and_the_cancels_name(client: SignedClient) -> None:
    client.post("/order", **limit_order(newClientOrderId="mine"))
    answer = client.delete("/order", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="cancel-it")
    assert (answer["origClientOrderId"], answer["clientOrderId"]) == ("mine", "cancel-it")
    assert (answer["status"], answer["transactTime"]) == ("CANCELED", NOW_MS)
    assert client.get("/order", symbol="BTCUSDT", origClientOrderId="mine")["status"] == "CANCELED"
    assert client.refusal("DELETE", "/order", symbol="BTCUSDT", origClientOrderId="mine")[1:] == (
        -2011,
        "Unknown order sent.",
    )


def test_a_cancel_may_be_restricted_to_untouched_orders(client: SignedClient) -> None:
    client.simulator.control.arm("partial_fill")
    placed = client.post("/order", **limit_order(price="51000", quantity="0.01"))
    assert placed["status"] == "PARTIALLY_FILLED"
    name = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    refused = client.refusal("DELETE", "/order", **name, cancelRestrictions="ONLY_NEW")
    assert refused == (400, -2011, "Order was not canceled due to cancel restrictions.")
    assert client.delete("/order", **name, cancelRestrictions="ONLY_PARTIALLY_FILLED")["executedQty"] == "0.00500000"


def test_another_account_sees_nothing_of_an_order(client: SignedClient, simulator: RunningSimulator) -> None:
    placed = client.post("/order", **limit_order())
    simulator.control.request("POST", "/accounts", api_key="other", api_secret="secret", balances={"USDT": "10"})
    other = SignedClient(simulator, "other", "secret")
    name = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    assert other.refusal("GET", "/order", **name)[1] == -2013
    assert other.refusal("DELETE", "/order", **name)[1] == -2011
    assert other.get("/openOrders") == []
    other.client.close()


def test_the_test_order_is_checked_and_not_placed(client: SignedClient) -> None:
    assert client.post("/order/test", **limit_order()) == {}
    assert client.post("/order/test", **limit_order(quantity="9")) == {}  # the engine is not asked for funds
    rates = client.post("/order/test", **limit_order(), computeCommissionRates="true")
    assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    assert client.refusal("POST", "/order/test", **limit_order(price="1"))[1] == -1013
    assert client.get("/allOrders", symbol="BTCUSDT") == []


def test_trades_are_paged_by_id_order_and_time(client: SignedClient) -> None:
    control = client.simulator.control
    orders = []
    for _ in range(4):
        orders.append(client.post("/order", **market_order()))
        control.advance(3600)
    trades = client.get("/myTrades", symbol="BTCUSDT")
    assert kinds(trades[0]) == {
        **{"symbol": str, "id": int, "orderId": int, "orderListId": int, "price": str, "qty": str, "quoteQty": str},
        **{"commission": str, "commissionAsset": str, "time": int, "isBuyer": bool, "isMaker": bool},
        **{"isBestMatch": bool},
    }
    ids = [trade["id"] for trade in trades]
    assert [trade["time"] for trade in trades] == [NOW_MS + hour * 3_600_000 for hour in range(4)]

    def ask(**parameters: Any) -> list[int]:
        return [trade["id"] for trade in client.get("/myTrades", symbol="BTCUSDT", **parameters)]

    assert ask(limit=2) == ids[2:]
    assert ask(fromId=ids[1], limit=2) == ids[1:3]
    assert ask(orderId=orders[2]["orderId"]) == ids[2:3]
    assert ask(startTime=NOW_MS + 1, limit=2) == ids[1:3]
    assert ask(endTime=NOW_MS + 3_600_000, limit=1) == ids[1:2]
    assert ask(startTime=NOW_MS, endTime=NOW_MS + 3_600_000) == ids[:2]
    assert ask(startTime=0) == ids


def test_orders_are_paged_like_trades(client: SignedClient) -> None:
    placed = []
    for _ in range(3):
        placed.append(client.post("/order", **limit_order())["orderId"])
        client.simulator.control.advance(60)

    def ask(**parameters: Any) -> list[int]:
        return [order["orderId"] for order in client.get("/allOrders", symbol="BTCUSDT", **parameters)]

    assert ask() == placed
    assert ask(limit=1) == placed[2:]
    assert ask(orderId=placed[1]) == placed[1:]
    assert ask(startTime=NOW_MS + 1, limit=1) == placed[1:2]
    assert ask(endTime=NOW_MS) == placed[:1]


def test_a_list_is_placed_queried_and_canceled_in_binances_words(client: SignedClient) -> None:
    placed = client.post(
        "/orderList/oco",
        **{"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "listClientOrderId": "mine"},
        **{"aboveType": "LIMIT_MAKER", "abovePrice": "52000"},
        **{"belowType": "STOP_LOSS", "belowStopPrice": "48000"},
    )
    assert (placed["contingencyType"], placed["listStatusType"], placed["listOrderStatus"]) == (
        *("OCO", "EXEC_STARTED"),
        "EXECUTING",
    )
    assert [order["type"] for order in placed["orderReports"]] == ["STOP_LOSS", "LIMIT_MAKER"]
    listed = {name: value for name, value in placed.items() if name != "orderReports"}
    assert client.get("/orderList", orderListId=placed["orderListId"]) == listed
    assert client.get("/orderList", origClientOrderId="mine") == listed
    assert client.get("/openOrderList") == client.get("/allOrderList") == [listed]
    canceled = client.delete("/orderList", symbol="BTCUSDT", listClientOrderId="mine")
    assert (canceled["listStatusType"], canceled["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert [order["status"] for order in canceled["orderReports"]] == ["CANCELED", "CANCELED"]
    assert client.get("/openOrderList") == []
    assert len(client.get("/allOrderList")) == 1


def test_canceling_all_orders_answers_orders_and_lists(client: SignedClient) -> None:
    client.post("/order", **limit_order())
    oco = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "price": "52000", "stopPrice": "48000"}
    client.post("/order/oco", **oco)
    answers = client.delete("/openOrders", symbol="BTCUSDT")
    assert [("orderReports" in answer) for answer in answers] == [False, True]
    assert client.get("/openOrders", symbol="BTCUSDT") == []
    assert {(each["free"], each["locked"]) for each in client.get("/account", omitZeroBalances="true")["balances"]} == {
        ("100000.00000000", "0.00000000"),
        ("2.00000000", "0.00000000"),
    }


def test_a_resting_order_fills_when_the_price_comes(client: SignedClient) -> None:
    client.post("/order", **limit_order(newClientOrderId="mine"))
    client.simulator.control.set_price("BTCUSDT", "48990")
    client.simulator.control.advance(1)
    order = client.get("/order", symbol="BTCUSDT", origClientOrderId="mine")
    assert (order["status"], order["cummulativeQuoteQty"]) == ("FILLED", "24500.00000000")
    assert client.get("/myTrades", symbol="BTCUSDT")[0]["isMaker"] is True


def test_weights_and_order_counts_are_those_of_binance(client: SignedClient) -> None:
    client.simulator.control.reset_usage()
    expected = 0
    for method, path, parameters, weight in (
        ("GET", "/account", {}, 20),
        ("POST", "/order", market_order(), 1),
        ("GET", "/order", {"symbol": "BTCUSDT", "orderId": 1}, 4),
        ("GET", "/openOrders", {"symbol": "BTCUSDT"}, 6),
        ("GET", "/openOrders", {}, 80),
        ("GET", "/allOrders", {"symbol": "BTCUSDT"}, 20),
        ("GET", "/myTrades", {"symbol": "BTCUSDT"}, 20),
        ("GET", "/myTrades", {"symbol": "BTCUSDT", "orderId": 1}, 5),
        ("GET", "/sapi/v1/account/apiRestrictions", {}, 1),
    ):
        reply = client.send(method, path, **parameters)
        expected += weight
        assert reply.headers["X-MBX-USED-WEIGHT-1M"] == str(expected), path
    assert client.send("POST", "/order", **market_order()).headers["X-MBX-ORDER-COUNT-10S"] == "2"


# The account and its wallet


def test_the_account_lists_every_asset_or_only_those_it_holds(client: SignedClient) -> None:
    client.post("/order", **limit_order())
    account = client.get("/account")
    assert kinds(account) == {
        **{"makerCommission": int, "takerCommission": int, "buyerCommission": int, "sellerCommission": int},
        **{"commissionRates": dict, "canTrade": bool, "canWithdraw": bool, "canDeposit": bool, "brokered": bool},
        **{"requireSelfTradePrevention": bool, "preventSor": bool, "updateTime": int, "accountType": str},
        **{"balances": list, "permissions": list, "uid": int},
    }
    assert (account["makerCommission"], account["updateTime"], account["permissions"]) == (10, NOW_MS, ["SPOT"])
    everything = {each["asset"]: (each["free"], each["locked"]) for each in account["balances"]}
    assert everything["ETH"] == ("0.00000000", "0.00000000")
    assert everything["USDT"] == ("75500.00000000", "24500.00000000")
    held = client.get("/account", omitZeroBalances="true")["balances"]
    assert [each["asset"] for each in held] == ["BTC", "USDT"]


def test_a_key_may_not_withdraw_until_the_control_says_so(client: SignedClient) -> None:
    assert client.get("/sapi/v1/account/apiRestrictions")["enableWithdrawals"] is False
    client.simulator.control.request("PATCH", "/accounts", api_key="trader", enable_withdrawals=True)
    assert client.get("/sapi/v1/account/apiRestrictions")["enableWithdrawals"] is True
    client.simulator.control.request("PATCH", "/accounts", api_key="trader", can_withdraw=False)
    assert client.get("/account")["canWithdraw"] is False


def test_deposits_and_withdrawals_are_told_from_the_books(client: SignedClient) -> None:
    control = client.simulator.control
    control.advance(60)
    control.request("POST", "/deposit", api_key="trader", asset="ETH", amount="3")
    control.request("POST", "/withdraw", api_key="trader", asset="USDT", amount="100", fee="0.5")
    deposits = client.get("/sapi/v1/capital/deposit/hisrec")
    assert [(each["coin"], each["amount"], each["insertTime"]) for each in deposits] == [
        ("ETH", "3.00000000", NOW_MS + 60_000),
        ("BTC", "2.00000000", NOW_MS),
        ("USDT", "100000.00000000", NOW_MS),
    ]
    assert len(client.get("/sapi/v1/capital/deposit/hisrec", coin="ETH")) == 1
    assert len(client.get("/sapi/v1/capital/deposit/hisrec", startTime=0, endTime=NOW_MS)) == 2
    assert client.get("/sapi/v1/capital/deposit/hisrec", offset=1, limit=1) == deposits[1:2]
    withdrawal = client.get("/sapi/v1/capital/withdraw/history")[0]
    assert (withdrawal["amount"], withdrawal["transactionFee"]) == ("100.00000000", "0.50000000")
    assert withdrawal["applyTime"] == "2026-03-02 12:01:30"
    held = {each["asset"]: Decimal(each["free"]) for each in client.get("/account")["balances"]}
    assert (held["USDT"], held["ETH"]) == (Decimal("99899.5"), Decimal(3))


def test_fees_and_the_system_status_are_told(client: SignedClient) -> None:
    one = client.get("/sapi/v1/asset/tradeFee", symbol="BTCUSDT")
    assert one == [{"symbol": "BTCUSDT", "makerCommission": "0.001", "takerCommission": "0.001"}]
    assert len(client.get("/sapi/v1/asset/tradeFee")) == 10
    assert client.client.get("/sapi/v1/system/status").json() == {"status": 0, "msg": "normal"}
