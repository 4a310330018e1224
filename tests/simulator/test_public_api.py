from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from lib.simulator.intervals import NAMES, floor_to_interval, next_open
from tests.simulators import START_AT, RunningSimulator, running_simulator

NOW_MS = int(START_AT.timestamp()) * 1000
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def exchange() -> Iterator[RunningSimulator]:
    """A simulator that these tests only read."""
    with running_simulator(start_at=START_AT, weight_limit_per_minute=10**9) as running:
        yield running


def ask(exchange: RunningSimulator, path: str, **params: Any) -> httpx.Response:
    return httpx.get(f"{exchange.url}/api/v3{path}", params=params, trust_env=False)


def test_time_is_exchange_time(exchange: RunningSimulator) -> None:
    assert exchange.get("/time") == {"serverTime": NOW_MS}
    assert exchange.get("/ping") == {}


def test_exchange_info_names_the_ten_symbols_with_their_filters(exchange: RunningSimulator) -> None:
    info = exchange.get("/exchangeInfo")
    assert [row["symbol"].removesuffix("USDT") for row in info["symbols"]] == [
        "BTC", "ETH", "BNB", "ADA", "SOL", "DOT", "POL", "AVAX", "LINK", "ATOM",
    ]  # fmt: skip
    bitcoin = info["symbols"][0]
    filters = {row["filterType"]: row for row in bitcoin["filters"]}
    assert bitcoin["status"] == "TRADING"
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
    assert {row["rateLimitType"] for row in info["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS"}


def test_exchange_info_answers_the_symbols_asked_for(exchange: RunningSimulator) -> None:
    one = exchange.get("/exchangeInfo", symbol="ETHUSDT")
    two = exchange.get("/exchangeInfo", symbols='["ADAUSDT","ETHUSDT"]')
    assert [row["symbol"] for row in one["symbols"]] == ["ETHUSDT"]
    assert [row["symbol"] for row in two["symbols"]] == ["ADAUSDT", "ETHUSDT"]
    assert len(exchange.get("/exchangeInfo", permissions="SPOT")["symbols"]) == 10
    assert len(exchange.get("/exchangeInfo", permissions='["MARGIN","LEVERAGED"]')["symbols"]) == 0
    assert exchange.get("/exchangeInfo", symbolStatus="HALT")["symbols"] == []
    assert exchange.get("/exchangeInfo", showPermissionSets="false")["symbols"][0]["permissionSets"] == []


def test_a_symbol_is_unknown_until_it_is_listed() -> None:
    with running_simulator(start_at=datetime(2024, 9, 12, 23, 59, tzinfo=UTC)) as early:
        assert "POLUSDT" not in [row["symbol"] for row in early.get("/exchangeInfo")["symbols"]]
        assert ask(early, "/klines", symbol="POLUSDT", interval="1m").json()["code"] == -1121
        early.control.advance(seconds=120)
        assert [row[0] for row in early.get("/klines", symbol="POLUSDT", interval="1m")] == [
            1726185600000,  # 2024-09-13 00:00
            1726185660000,
        ]


def test_a_kline_is_an_array_of_twelve_with_binances_types(exchange: RunningSimulator) -> None:
    rows = exchange.get("/klines", symbol="BTCUSDT", interval="5m")
    assert len(rows) == 500
    for row in rows:
        assert [type(value) for value in row] == [int, *[str] * 5, int, str, int, str, str, str]
        assert all(len(text.partition(".")[2]) == 8 for text in [*row[1:6], row[7], row[9], row[10]])
        assert row[6] == row[0] + 5 * MINUTE_MS - 1
        assert row[0] % (5 * MINUTE_MS) == 0
        assert row[11] == "0"


@pytest.mark.parametrize("interval", NAMES)
def test_the_last_kline_is_the_running_one_of_every_interval(exchange: RunningSimulator, interval: str) -> None:
    rows = exchange.get("/klines", symbol="ETHUSDT", interval=interval, limit=3)
    running = floor_to_interval(NOW_MS, interval)
    assert rows[-1][0] == running
    assert rows[-1][6] == next_open(running, interval) - 1
    assert [row[6] + 1 for row in rows[:-1]] == [row[0] for row in rows[1:]]
    assert rows[-1][4] == exchange.get("/ticker/price", symbol="ETHUSDT")["price"]


def test_klines_of_a_start_come_from_there_and_of_an_end_up_to_there(exchange: RunningSimulator) -> None:
    start, end = NOW_MS - 3600_000, NOW_MS - 1800_000
    first_open = start - start % MINUTE_MS + MINUTE_MS
    last_open = end - end % MINUTE_MS

    def opens(**params: Any) -> list[int]:
        return [row[0] for row in exchange.get("/klines", symbol="BTCUSDT", interval="1m", **params)]

    both = opens(startTime=start, endTime=end)
    assert both == list(range(first_open, last_open + 1, MINUTE_MS))
    assert opens(startTime=start, endTime=end, limit=7) == both[:7]
    assert opens(startTime=start, limit=7) == both[:7]
    assert opens(endTime=end, limit=7) == both[-7:]
    assert opens(startTime=start)[-1] == NOW_MS - NOW_MS % MINUTE_MS
    assert opens(startTime=end, endTime=start) == []
    assert opens(startTime=NOW_MS + 1) == []


def test_a_start_of_zero_gives_the_first_candles_of_the_listing(exchange: RunningSimulator) -> None:
    rows = exchange.get("/klines", symbol="BTCUSDT", interval="1d", startTime=0, limit=2)
    assert [row[0] for row in rows] == [1502928000000, 1503014400000]  # 2017-08-17


def test_at_most_a_thousand_klines_are_answered_and_pages_join_without_seam(exchange: RunningSimulator) -> None:
    start = NOW_MS - 2500 * 3600_000
    seen: list[int] = []
    while page := exchange.get(
        "/klines", symbol="BTCUSDT", interval="1h", startTime=seen[-1] + 1 if seen else start, limit=5000
    ):
        assert len(page) <= 1000
        seen += [row[0] for row in page]
    assert seen == list(range(seen[0], NOW_MS, 3600_000))
    assert len(seen) == 2500


def test_tickers_answer_one_several_or_all(exchange: RunningSimulator) -> None:
    for path in ("/ticker/price", "/ticker/24hr", "/ticker/bookTicker"):
        one = exchange.get(path, symbol="SOLUSDT")
        assert one["symbol"] == "SOLUSDT"
        assert exchange.get(path, symbols='["SOLUSDT"]') == [one]
        assert one in exchange.get(path)
        assert len(exchange.get(path)) == 10


def test_the_day_ticker_agrees_with_the_klines(exchange: RunningSimulator) -> None:
    ticker = exchange.get("/ticker/24hr", symbol="BTCUSDT")
    start = NOW_MS - NOW_MS % MINUTE_MS - 86_400_000
    first = exchange.get("/klines", symbol="BTCUSDT", interval="1m", startTime=start, limit=1000)
    second = exchange.get("/klines", symbol="BTCUSDT", interval="1m", startTime=first[-1][0] + 1, limit=1000)
    rows = first + second
    assert ticker["openTime"] == start
    assert ticker["openPrice"] == rows[0][1]
    assert ticker["lastPrice"] == rows[-1][4]
    assert Decimal(ticker["highPrice"]) == max(Decimal(row[2]) for row in rows)
    assert Decimal(ticker["lowPrice"]) == min(Decimal(row[3]) for row in rows)
    assert Decimal(ticker["volume"]) == sum(Decimal(row[5]) for row in rows)
    assert Decimal(ticker["quoteVolume"]) == sum(Decimal(row[7]) for row in rows)
    assert ticker["count"] == sum(row[8] for row in rows)
    change = Decimal(ticker["lastPrice"]) - Decimal(ticker["openPrice"])
    assert Decimal(ticker["priceChange"]) == change
    assert "askPrice" not in exchange.get("/ticker/24hr", symbol="BTCUSDT", type="MINI")


def test_the_book_is_sorted_does_not_cross_and_surrounds_the_last_price(exchange: RunningSimulator) -> None:
    book = exchange.get("/depth", symbol="BTCUSDT", limit=1000)
    bids, asks = ([Decimal(price) for price, _ in book[side]] for side in ("bids", "asks"))
    last = Decimal(exchange.get("/ticker/price", symbol="BTCUSDT")["price"])
    assert len(bids) == len(asks) == 1000
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < last < asks[0]
    best = exchange.get("/ticker/bookTicker", symbol="BTCUSDT")
    assert [best["bidPrice"], best["bidQty"]] == book["bids"][0]
    assert [best["askPrice"], best["askQty"]] == book["asks"][0]
    assert exchange.get("/depth", symbol="BTCUSDT", limit=5)["bids"] == book["bids"][:5]


def test_public_trades_happen_at_the_price_of_their_instant(exchange: RunningSimulator) -> None:
    rows = exchange.get("/trades", symbol="BTCUSDT", limit=50)
    minutes = {row[0]: row for row in exchange.get("/klines", symbol="BTCUSDT", interval="1m", limit=5)}
    assert len(rows) == 50
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})
    for row in rows:
        assert row["time"] <= NOW_MS
        minute = minutes[row["time"] - row["time"] % MINUTE_MS]
        assert Decimal(minute[3]) <= Decimal(row["price"]) <= Decimal(minute[2])
        assert Decimal(row["quoteQty"]) == pytest.approx(
            Decimal(row["price"]) * Decimal(row["qty"]), abs=Decimal("1e-6")
        )


def test_the_average_price_lies_within_the_last_minutes(exchange: RunningSimulator) -> None:
    average = exchange.get("/avgPrice", symbol="BTCUSDT")
    rows = exchange.get("/klines", symbol="BTCUSDT", interval="1m", limit=6)
    assert average["mins"] == 5
    assert min(Decimal(row[3]) for row in rows) <= Decimal(average["price"]) <= max(Decimal(row[2]) for row in rows)


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/time", {"x": "1"}, -1104),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1m", "since": "1"}, -1104),
        ("/klines", {"symbol": "BTCUSDT"}, -1102),
        ("/klines", {"interval": "1m"}, -1102),
        ("/klines", {"symbol": "NOPEUSDT", "interval": "1m"}, -1121),
        ("/klines", {"symbol": "btcusdt", "interval": "1m"}, -1100),
        ("/klines", {"symbol": "BTC/USDT", "interval": "1m"}, -1100),
        ("/klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "0"}, -1130),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "many"}, -1100),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "-1"}, -1100),
        ("/klines", {"symbol": "BTCUSDT", "interval": ""}, -1105),
        ("/ticker/price", {"symbol": "BTCUSDT", "symbols": '["ETHUSDT"]'}, -1128),
        ("/ticker/price", {"symbols": '["ETHUSDT","NOPE"]'}, -1121),
        ("/ticker/price", {"symbols": "ETHUSDT"}, -1100),
        ("/ticker/24hr", {"symbols": '["ETHUSDT","ETHUSDT"]'}, -1101),
        ("/ticker/24hr", {"type": "TINY"}, -1100),
        ("/exchangeInfo", {"symbol": "BTCUSDT", "permissions": "SPOT"}, -1128),
        ("/depth", {}, -1102),
        ("/avgPrice", {"symbol": "NOPE"}, -1121),
    ],
)
def test_a_bad_request_gets_binances_code(
    exchange: RunningSimulator, path: str, params: dict[str, str], code: int
) -> None:
    reply = ask(exchange, path, **params)
    assert reply.status_code == 400
    assert reply.json()["code"] == code
    assert reply.json()["msg"]


def test_an_unknown_path_is_not_found(exchange: RunningSimulator) -> None:
    assert ask(exchange, "/uiKlinez").status_code == 404
