"""Which price of an asset is believed, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from lib.balances.pricing import price_assets
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import AssetPrice

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PRICES = {
    "BTC/USDT": "50000",
    "ETH/USDT": "2500",
    "SOL/USDT": "100",
    "SOL/BTC": "0.0021",
    "XMR/BTC": "0.003",
    "XMR/ETH": "0.07",
    "AAA/ETH": "0.07",
    "USDT/TRY": "40",
    "BTC/JPY": "7500000",
    "LDO/USDT": "2",
    "BAD/USDT": "0",
    "NAN/USDT": "NaN",
}


def price(asset: str, *known: AssetPrice) -> tuple[Decimal, str] | None:
    quotes = Quotes({symbol: Decimal(value) for symbol, value in PRICES.items()}, NOW)
    found = price_assets([asset], "USDT", quotes, dict.fromkeys([asset] * len(known), *known)).get(asset)
    return (found.price, found.priced_by) if found else None


@pytest.mark.parametrize(
    ("asset", "expected", "priced_by"),
    [
        ("USDT", "1", "quote"),
        ("SOL", "100", "SOL/USDT"),
        ("XMR", "150", "XMR/BTC, BTC/USDT"),
        ("AAA", "175", "AAA/ETH, ETH/USDT"),
        ("TRY", "0.025", "USDT/TRY"),
        ("JPY", "0.006666666666666667", "BTC/JPY, BTC/USDT"),
        ("LDO", "2", "LDO/USDT"),
        ("LDSOL", "100", "SOL/USDT"),
        ("LDUSDT", "1", "quote"),
    ],
)
def test_a_price_comes_from_its_market_or_through_a_bridge(asset: str, expected: str, priced_by: str) -> None:
    assert price(asset) == (Decimal(expected), priced_by)


@pytest.mark.parametrize("asset", ["SCAM", "BAD", "NAN", "LD", "LDSCAM", ""])
def test_an_asset_without_a_sound_price_has_none(asset: str) -> None:
    assert price(asset) is None


def test_the_last_price_stands_for_a_day() -> None:
    assert price("SCAM", AssetPrice(Decimal(7), "SCAM/USDT", NOW - timedelta(days=1))) == (Decimal(7), "SCAM/USDT")
    assert price("SCAM", AssetPrice(Decimal(7), "SCAM/USDT", NOW - timedelta(days=1, seconds=1))) is None


@pytest.mark.parametrize(("last", "expected"), [("1000", "100"), ("1001", "1001"), ("10", "100"), ("9.9", "9.9")])
def test_a_jump_by_more_than_ten_within_an_hour_is_not_believed(last: str, expected: str) -> None:
    found = price("SOL", AssetPrice(Decimal(last), "SOL/USDT", NOW - timedelta(minutes=59)))
    assert found is not None
    assert found[0] == Decimal(expected)


def test_an_hour_later_the_jump_is_believed() -> None:
    assert price("SOL", AssetPrice(Decimal(9), "SOL/USDT", NOW - timedelta(hours=1))) == (Decimal(100), "SOL/USDT")
