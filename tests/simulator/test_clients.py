"""Unmodified clients of three makers against the simulator's market data."""

from collections.abc import AsyncIterator
from typing import Any

import ccxt.async_support as ccxt
import pytest
import pytest_asyncio
from binance.client import Client as PythonBinance
from binance.spot import Spot as BinanceConnector

from tests.simulators import API_KEY, API_SECRET, START_AT, RunningSimulator

NOW_MS = int(START_AT.timestamp()) * 1000
SPOT_ONLY = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}


@pytest_asyncio.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[Any]:
    base = f"{simulator.url}/api/v3"
    exchange = ccxt.binance({"options": SPOT_ONLY, "urls": {"api": {"public": base, "private": base}}})
    yield exchange
    await exchange.close()


async def test_ccxt_loads_the_markets_with_their_precision_and_limits(client: Any) -> None:
    markets = await client.load_markets()
    assert len(markets) == 10
    bitcoin = markets["BTC/USDT"]
    assert bitcoin["active"] is True
    assert bitcoin["spot"] is True
    assert bitcoin["precision"]["price"] == 0.01
    assert bitcoin["precision"]["amount"] == 0.00001
    assert bitcoin["limits"]["cost"]["min"] == 5
    assert bitcoin["limits"]["amount"]["min"] == 0.00001


async def test_ccxt_sees_a_halted_symbol_as_inactive(client: Any, simulator: RunningSimulator) -> None:
    simulator.control.halt("ETHUSDT")
    markets = await client.load_markets()
    assert markets["ETH/USDT"]["active"] is False


async def test_ccxt_fetches_candles(client: Any, simulator: RunningSimulator) -> None:
    since = NOW_MS - 86_400_000
    candles = await client.fetch_ohlcv("BTC/USDT", "5m", since=since, limit=1000)
    raw = simulator.get("/klines", symbol="BTCUSDT", interval="5m", startTime=since, limit=1000)
    assert candles == [[row[0], *(float(text) for text in row[1:6])] for row in raw]
    assert len(candles) == 288  # the first opens after `since`, the last is the running one
    assert [len(await client.fetch_ohlcv("BTC/USDT", name, limit=2)) for name in ("1m", "1h", "1d", "1w", "1M")] == [
        2
    ] * 5


async def test_ccxt_fetches_prices_tickers_and_books(client: Any, simulator: RunningSimulator) -> None:
    prices = await client.fetch_last_prices()
    assert set(prices) == set(client.symbols)
    assert prices["BTC/USDT"]["price"] == float(simulator.get("/ticker/price", symbol="BTCUSDT")["price"])
    tickers = await client.fetch_tickers()
    assert tickers["SOL/USDT"]["last"] == prices["SOL/USDT"]["price"]
    assert tickers["SOL/USDT"]["low"] <= tickers["SOL/USDT"]["last"] <= tickers["SOL/USDT"]["high"]
    best = await client.fetch_bids_asks(["BTC/USDT", "ETH/USDT"])
    assert best["BTC/USDT"]["bid"] < prices["BTC/USDT"]["price"] < best["BTC/USDT"]["ask"]
    book = await client.fetch_order_book("BTC/USDT", 20)
    assert len(book["bids"]) == len(book["asks"]) == 20
    assert book["bids"][0][0] == best["BTC/USDT"]["bid"]
    assert len(await client.fetch_trades("BTC/USDT", limit=10, params={"fetchTradesMethod": "publicGetTrades"})) == 10
    assert (await client.fetch_ticker("ADA/USDT"))["quoteVolume"] > 0


async def test_ccxt_fetches_the_time_and_sees_the_weight(client: Any) -> None:
    assert await client.fetch_time() == NOW_MS
    assert client.last_response_headers["X-MBX-USED-WEIGHT-1M"] == "1"


async def test_ccxt_maps_the_errors_as_in_production(client: Any, simulator: RunningSimulator) -> None:
    await client.load_markets()
    simulator.control.delist("ADAUSDT")
    with pytest.raises(ccxt.BadSymbol):
        await client.fetch_ohlcv("ADA/USDT", "5m")
    simulator.control.arm("status", status=429, retry_after=7)
    with pytest.raises(ccxt.DDoSProtection):
        await client.fetch_ohlcv("BTC/USDT", "5m")
    assert client.last_response_headers["Retry-After"] == "7"
    with pytest.raises(ccxt.BadRequest):
        await client.fetch_ohlcv("BTC/USDT", "5m", params={"nonsense": 1})


@pytest.mark.parametrize(
    ("kind", "booked"),
    [
        ("drop_before", False),
        ("drop_after", True),
        ("unknown_before", False),
        ("unknown_after", True),
        ("timestamp", False),
        ("status", False),
    ],
)
async def test_an_order_whose_reply_is_lost_is_booked_or_not_as_the_fault_says(
    client: Any, simulator: RunningSimulator, kind: str, booked: bool
) -> None:
    client.apiKey, client.secret = API_KEY, API_SECRET
    client.options["timeDifference"] = client.milliseconds() - NOW_MS  # the exchange's clock is driven
    await client.load_markets()
    simulator.control.arm(kind, path="/api/v3/order", method="POST", symbol="BTCUSDT")
    with pytest.raises(ccxt.BaseError):
        await client.create_order("BTC/USDT", "market", "buy", 0.001, params={"newClientOrderId": "lost-1"})
    orders = await client.fetch_orders("BTC/USDT")
    assert ("lost-1" in [order["clientOrderId"] for order in orders]) is booked


def test_python_binance_reads_the_market(simulator: RunningSimulator) -> None:
    client = PythonBinance(ping=False, requests_params={"proxies": {"http": "", "https": ""}})
    client.API_URL = f"{simulator.url}/api"
    assert client.get_server_time() == {"serverTime": NOW_MS}
    assert len(client.get_exchange_info()["symbols"]) == 10
    assert client.get_symbol_info("BTCUSDT")["baseAsset"] == "BTC"
    assert len(client.get_klines(symbol="BTCUSDT", interval="1h", limit=3)) == 3
    # This one asks for the first candle by startTime=0, and then page by page.
    history = client.get_historical_klines("BTCUSDT", "1d", "1 Jan, 2015", "2 Mar, 2026")
    assert history[0][0] == 1502928000000
    assert len(history) == (NOW_MS - 1502928000000) // 86_400_000 + 1
    assert client.get_symbol_ticker(symbol="BTCUSDT") == simulator.get("/ticker/price", symbol="BTCUSDT")
    assert len(client.get_all_tickers()) == len(client.get_orderbook_tickers()) == len(client.get_ticker()) == 10
    assert len(client.get_order_book(symbol="BTCUSDT")["bids"]) == 100
    assert len(client.get_recent_trades(symbol="BTCUSDT", limit=7)) == 7
    assert client.get_avg_price(symbol="BTCUSDT")["mins"] == 5
    client.close_connection()


def test_binance_connector_reads_the_market(simulator: RunningSimulator) -> None:
    client = BinanceConnector(base_url=simulator.url, show_limit_usage=True)
    client.session.trust_env = False
    assert client.ping()["data"] == {}
    assert client.time()["data"] == {"serverTime": NOW_MS}
    assert int(client.time()["limit_usage"]["x-mbx-used-weight-1m"]) >= 1
    symbols = client.exchange_info(symbols=["BTCUSDT", "ETHUSDT"])["data"]["symbols"]
    assert [row["symbol"] for row in symbols] == ["BTCUSDT", "ETHUSDT"]
    assert len(client.klines("BTCUSDT", "1m", startTime=0, limit=5)["data"]) == 5
    assert client.ticker_price("BTCUSDT")["data"]["symbol"] == "BTCUSDT"
    assert len(client.ticker_24hr(symbols=["BTCUSDT", "ADAUSDT"])["data"]) == 2
    assert len(client.book_ticker()["data"]) == 10
    assert len(client.depth("BTCUSDT", limit=5)["data"]["asks"]) == 5
    assert len(client.trades("BTCUSDT", limit=5)["data"]) == 5
    assert client.avg_price("BTCUSDT")["data"]["mins"] == 5
