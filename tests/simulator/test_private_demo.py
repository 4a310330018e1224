"""The account a newcomer finds, and books that outlive the server."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.signed_client import signed_client
from tests.simulators import START_AT, RunningSimulator, running_simulator

DAY_MS = 86_400_000
NOW_MS = int(START_AT.timestamp() * 1000)


def demo_books(simulator: RunningSimulator) -> dict[str, Any]:
    books: dict[str, Any] = simulator.control.request("GET", "/books")["accounts"]["simulator-key"]
    return books


def test_the_demo_account_holds_four_coins_worth_about_two_fifths_of_it(simulator: RunningSimulator) -> None:
    with signed_client(simulator) as client:
        held = {
            each["asset"]: Decimal(each["free"]) for each in client.get("/account", omitZeroBalances="true")["balances"]
        }
    prices = {row["symbol"]: Decimal(row["price"]) for row in simulator.get("/ticker/price")}
    values = {asset: held[asset] * prices[f"{asset}USDT"] for asset in ("BTC", "ETH", "SOL", "LINK")}
    assert min(values.values()) > 1000
    assert Decimal("0.25") < sum(values.values()) / (sum(values.values()) + held["USDT"]) < Decimal("0.55")


def test_the_demo_account_bought_at_the_prices_of_its_days(simulator: RunningSimulator) -> None:
    books = demo_books(simulator)
    assert [(each["amount"], each["at_ms"]) for each in books["movements"]] == [("100000", NOW_MS - 30 * DAY_MS)]
    assert {trade["side"] for trade in books["trades"]} == {"BUY", "SELL"}
    for trade in books["trades"]:
        days_ago = (NOW_MS - trade["at_ms"]) / DAY_MS
        assert 2 <= days_ago < 30
        minute = trade["at_ms"] // 60_000 * 60_000
        _, _, high, low, *_ = simulator.get(
            "/klines", symbol=trade["symbol"], interval="1m", startTime=minute, limit=1
        )[0]
        assert float(low) * 0.995 <= float(trade["price"]) <= float(high) * 1.005


def test_the_demo_account_sold_a_part_and_paid_one_fee_in_bnb(simulator: RunningSimulator) -> None:
    with signed_client(simulator) as client:
        trades = client.get("/myTrades", symbol="ETHUSDT")
    sold = [trade for trade in trades if not trade["isBuyer"]]
    bought = [trade for trade in trades if trade["isBuyer"]]
    assert 0 < sum(float(trade["qty"]) for trade in sold) < sum(float(trade["qty"]) for trade in bought) / 2
    assert {trade["commissionAsset"] for trade in sold} == {"BNB"}
    assert {trade["commissionAsset"] for trade in bought} == {"ETH"}
    assert all(Decimal(trade["commission"]) > 0 for trade in trades)


def test_the_demo_account_is_the_same_in_the_same_world(simulator: RunningSimulator) -> None:
    with running_simulator(start_at=START_AT) as twin:
        assert demo_books(twin) == demo_books(simulator)


def test_a_small_world_has_a_demo_account_of_what_there_is() -> None:
    with running_simulator(start_at=START_AT, symbols_count=1) as small:
        assert set(demo_books(small)["balances"]) == {"BTC", "USDT"}


def test_without_a_demo_account_there_is_none() -> None:
    with running_simulator(start_at=START_AT, demo_account=False) as bare:
        assert bare.control.request("GET", "/books")["accounts"] == {}


def test_a_restarted_server_goes_on_with_the_same_books(tmp_path: Path) -> None:
    with running_simulator(start_at=START_AT, state_path=tmp_path) as first, signed_client(first) as client:
        client.post("/order", symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="500")
        resting = client.post(
            "/order", symbol="BTCUSDT", side="SELL", type="STOP_LOSS", quantity="0.01", stopPrice="100"
        )
        first.control.set_price("BTCUSDT", "2000")
        before = demo_books(first)
    with running_simulator(start_at=START_AT, state_path=tmp_path) as second, signed_client(second) as client:
        assert demo_books(second) == before
        second.control.set_price("BTCUSDT", "90")
        second.control.advance(60)
        order = client.get("/order", symbol="BTCUSDT", orderId=resting["orderId"])
        assert order["status"] == "FILLED"
        assert order["updateTime"] == NOW_MS


def test_two_servers_do_not_share_books(tmp_path: Path) -> None:
    with (
        running_simulator(start_at=START_AT, state_path=tmp_path),
        pytest.raises(ValueError, match="Stop the simulator that uses them"),
        running_simulator(start_at=START_AT, state_path=tmp_path),
    ):
        pass
