"""Three clients nobody here wrote use the simulator as they use Binance; the clock is real, as theirs is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import ccxt.async_support as ccxt
import pytest
from binance.client import Client as PythonBinance
from binance.error import ClientError
from binance.exceptions import BinanceAPIException
from binance.spot import Spot as BinanceConnector

from tests.simulators import API_KEY, API_SECRET, RunningSimulator, running_simulator


@pytest.fixture
def simulator() -> Iterator[RunningSimulator]:
    """A simulator on the machine's clock; BTC stands still at 50 000."""
    with running_simulator() as running:
        running.control.scenario("flat")
        running.control.set_price("BTCUSDT", "50000")
        yield running


@pytest.fixture
async def exchange(simulator: RunningSimulator) -> AsyncIterator[Any]:
    client = ccxt.binance(
        {
            "apiKey": API_KEY,
            "secret": API_SECRET,
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
        }
    )
    api = client.urls["api"]
    api["public"] = api["private"] = f"{simulator.url}/api/v3"
    api["sapi"] = f"{simulator.url}/sapi/v1"
    yield client
    await client.close()


async def test_ccxt_places_orders_of_every_type_and_reads_them_back(exchange: Any) -> None:
    placed = [
        await exchange.create_order("BTC/USDT", "market", "buy", 0.01),
        await exchange.create_order("BTC/USDT", "market", "buy", 0.01, 50_000),  # ccxt sends quoteOrderQty
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 49_000),
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 48_000, {"postOnly": True}),
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 51_000, {"timeInForce": "IOC"}),
        await exchange.create_order("BTC/USDT", "limit", "sell", 0.01, 44_000, {"stopLossPrice": 45_000}),
        await exchange.create_order("BTC/USDT", "limit", "sell", 0.01, 56_000, {"takeProfitPrice": 55_000}),
        await exchange.create_order("BTC/USDT", "market", "sell", 0.01, None, {"stopLossPrice": 45_000}),
        await exchange.create_order("BTC/USDT", "market", "sell", 0.01, None, {"takeProfitPrice": 55_000}),
    ]
    read = [await exchange.fetch_order(order["id"], "BTC/USDT") for order in placed]
    assert [order["info"]["type"] for order in read] == [
        *("MARKET", "MARKET", "LIMIT", "LIMIT_MAKER", "LIMIT"),
        *("STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT", "STOP_LOSS", "TAKE_PROFIT"),
    ]
    assert [order["status"] for order in read] == [
        *("closed", "closed", "open", "open", "closed"),
        *("open", "open", "open", "open"),
    ]
    assert read[0]["filled"] == 0.01
    assert read[0]["average"] == pytest.approx(50_000, rel=1e-4)
    assert {order["id"] for order in await exchange.fetch_open_orders("BTC/USDT")} == {
        order["id"] for order in read if order["status"] == "open"
    }
    assert len(await exchange.fetch_orders("BTC/USDT")) == 2 + len(placed)  # two are the demo account's own


async def test_ccxt_finds_an_order_by_its_client_id_and_cancels_it(exchange: Any) -> None:
    params = {"newClientOrderId": "fks-1"}
    await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 49_000, params)
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 49_000, params)
    found = await exchange.fetch_order(None, "BTC/USDT", {"origClientOrderId": "fks-1"})
    assert (found["clientOrderId"], found["status"]) == ("fks-1", "open")
    assert (await exchange.cancel_order(found["id"], "BTC/USDT"))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.cancel_order(found["id"], "BTC/USDT")
    with pytest.raises(ccxt.OrderNotFound):
        await exchange.fetch_order(None, "BTC/USDT", {"origClientOrderId": "fks-2"})


async def test_ccxt_reads_balances_and_trades(exchange: Any) -> None:
    before = await exchange.fetch_balance()
    order = await exchange.create_order("BTC/USDT", "market", "buy", 0.02)
    await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 49_000)
    after = await exchange.fetch_balance()
    assert after["BTC"]["free"] == pytest.approx(before["BTC"]["free"] + 0.02 * 0.999, abs=1e-9)
    assert after["USDT"]["used"] == 490
    trades = await exchange.fetch_my_trades("BTC/USDT")
    assert {trade["side"] for trade in trades} == {"buy"}
    filled = [trade for trade in trades if trade["order"] == order["id"]]  # one trade a level of the book it took
    assert sum(trade["amount"] for trade in filled) == pytest.approx(0.02)
    assert sum(trade["fee"]["cost"] for trade in filled) == pytest.approx(0.00002)
    assert {trade["fee"]["currency"] for trade in filled} == {"BTC"}
    newest = await exchange.fetch_my_trades("BTC/USDT", since=trades[-1]["timestamp"])
    assert [trade["id"] for trade in newest] == [trade["id"] for trade in filled]


async def test_ccxt_places_an_oco(exchange: Any) -> None:
    request = {
        **{"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01"},
        **{"aboveType": "LIMIT_MAKER", "abovePrice": "55000.00"},
        **{"belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "45000.00", "belowPrice": "44900.00"},
        "belowTimeInForce": "GTC",
    }
    placed = await exchange.private_post_orderlist_oco(request)
    assert placed["listOrderStatus"] == "EXECUTING"
    assert len(await exchange.fetch_open_orders("BTC/USDT")) == 2
    found = await exchange.private_get_orderlist({"orderListId": placed["orderListId"]})
    assert found["listClientOrderId"] == placed["listClientOrderId"]
    await exchange.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": placed["orderListId"]})
    assert await exchange.fetch_open_orders("BTC/USDT") == []


async def test_ccxt_reads_fees_deposits_withdrawals_and_status(exchange: Any, simulator: RunningSimulator) -> None:
    simulator.control.request("POST", "/withdraw", asset="USDT", amount="50", fee="1")
    assert (await exchange.fetch_status())["status"] == "ok"
    assert (await exchange.fetch_trading_fee("BTC/USDT"))["taker"] == 0.001
    deposits = await exchange.fetch_deposits("USDT")
    assert [(each["amount"], each["status"]) for each in deposits] == [(100_000, "ok")]
    withdrawals = await exchange.fetch_withdrawals("USDT")
    assert [(each["amount"], each["fee"]["cost"], each["status"]) for each in withdrawals] == [(50, 1, "ok")]
    assert (await exchange.sapi_get_account_apirestrictions())["enableWithdrawals"] is False


async def test_ccxt_sees_the_errors_it_knows(exchange: Any, simulator: RunningSimulator) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        await exchange.create_order("BTC/USDT", "limit", "buy", 5, 49_000)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 51_000, {"postOnly": True})
    with pytest.raises(ccxt.InvalidOrder, match="PERCENT_PRICE_BY_SIDE"):
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 5)
    with pytest.raises(ccxt.BadRequest, match="read '11' parameter"):
        await exchange.create_order("BTC/USDT", "limit", "buy", 0.01, 49_000, {"stopLoss": {"triggerPrice": 45_000}})
    simulator.control.halt("BTCUSDT")
    with pytest.raises(ccxt.MarketClosed):
        await exchange.create_order("BTC/USDT", "market", "buy", 0.01)
    exchange.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await exchange.fetch_balance()


def test_python_binance_trades(simulator: RunningSimulator) -> None:
    class LocalBinance(PythonBinance):  # type: ignore[misc]  # untyped; its addresses are class attributes
        API_URL = f"{simulator.url}/api"
        MARGIN_API_URL = f"{simulator.url}/sapi"

    client = LocalBinance(API_KEY, API_SECRET)
    bought = client.order_market_buy(symbol="BTCUSDT", quantity=0.01)
    assert bought["status"] == "FILLED"
    resting = client.order_limit_buy(symbol="BTCUSDT", quantity=0.01, price="49000.00")
    assert client.get_order(symbol="BTCUSDT", orderId=resting["orderId"])["status"] == "NEW"
    assert [order["orderId"] for order in client.get_open_orders(symbol="BTCUSDT")] == [resting["orderId"]]
    assert client.cancel_order(symbol="BTCUSDT", orderId=resting["orderId"])["status"] == "CANCELED"
    stop = client.create_order(
        **{"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC"},
        **{"quantity": 0.01, "price": "44000.00", "stopPrice": "45000.00"},
    )
    assert set(stop) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    placed = client.create_oco_order(
        **{"symbol": "BTCUSDT", "side": "SELL", "quantity": 0.01, "aboveType": "LIMIT_MAKER", "abovePrice": "55000"},
        **{"belowType": "STOP_LOSS", "belowStopPrice": "45000"},
    )
    assert len(placed["orderReports"]) == 2
    assert client.get_my_trades(symbol="BTCUSDT")[-1]["orderId"] == bought["orderId"]
    assert float(client.get_asset_balance("BTC")["locked"]) == 0.02
    assert client.get_account_api_permissions()["enableWithdrawals"] is False
    assert client.get_deposit_history()[0]["coin"] == "USDT"
    client.create_test_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.01)
    with pytest.raises(BinanceAPIException) as caught:
        client.order_market_buy(symbol="BTCUSDT", quantity=0.000001)  # it sends 1e-06
    assert caught.value.code == -1100
    client.close_connection()


def test_binance_connector_trades(simulator: RunningSimulator) -> None:
    client = BinanceConnector(API_KEY, API_SECRET, base_url=simulator.url, show_limit_usage=True)
    bought = client.new_order(symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty=500)["data"]
    assert bought["status"] == "FILLED"
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.01}
    answer = client.new_order(**terms, price=49_000.5, newClientOrderId="fks-1")
    assert answer["limit_usage"]["x-mbx-order-count-10s"] == "2"
    found = client.get_order("BTCUSDT", origClientOrderId="fks-1")["data"]
    assert (found["status"], found["price"]) == ("NEW", "49000.50000000")
    assert client.cancel_order("BTCUSDT", origClientOrderId="fks-1")["data"]["status"] == "CANCELED"
    placed = client.new_oco_order(
        **{"symbol": "BTCUSDT", "side": "SELL", "quantity": 0.01, "aboveType": "TAKE_PROFIT_LIMIT"},
        **{"abovePrice": 55_100, "aboveStopPrice": 55_000, "aboveTimeInForce": "GTC"},
        **{"belowType": "STOP_LOSS", "belowStopPrice": 45_000},
    )["data"]
    assert client.get_oco_order(orderListId=placed["orderListId"])["data"]["listOrderStatus"] == "EXECUTING"
    assert len(client.cancel_open_orders("BTCUSDT")["data"]) == 1
    balances = client.account(omitZeroBalances="true")["data"]["balances"]
    assert {each["asset"] for each in balances} == {"BNB", "BTC", "ETH", "LINK", "SOL", "USDT"}
    assert client.my_trades("BTCUSDT", limit=1)["data"][0]["orderId"] == bought["orderId"]
    assert client.system_status()["data"]["status"] == 0
    assert client.trade_fee(symbol="BTCUSDT")["data"][0]["takerCommission"] == "0.001"
    with pytest.raises(ClientError) as caught:
        client.new_order(symbol="BTCUSDT", side="SELL", type="MARKET", quantity=50)
    assert (caught.value.status_code, caught.value.error_code) == (400, -2010)
