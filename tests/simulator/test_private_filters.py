from __future__ import annotations

from decimal import Decimal

import pytest

from lib.simulator import filters
from lib.simulator.api_errors import ApiError
from lib.simulator.order_request import check_filters
from tests.simulator.paper_market import make_instrument, to_request

BTC = make_instrument()
LAST = Decimal(100)


@pytest.mark.parametrize(
    ("kind", "terms", "failed"),
    [
        ("LIMIT", {"quantity": "1", "price": "100"}, None),
        ("LIMIT", {"quantity": "1", "price": "100.005"}, "PRICE_FILTER"),
        ("LIMIT", {"quantity": "1", "price": "0"}, "PRICE_FILTER"),
        ("LIMIT", {"quantity": "1", "price": "1000001"}, "PRICE_FILTER"),
        ("LIMIT", {"quantity": "1", "price": "500.01"}, "PERCENT_PRICE_BY_SIDE"),
        ("LIMIT", {"quantity": "1", "price": "19.99"}, "PERCENT_PRICE_BY_SIDE"),
        ("LIMIT", {"quantity": "1", "price": "20"}, None),
        ("LIMIT", {"quantity": "0.000015", "price": "100"}, "LOT_SIZE"),
        ("LIMIT", {"quantity": "0", "price": "100"}, "LOT_SIZE"),
        ("LIMIT", {"quantity": "9000.1", "price": "100"}, "LOT_SIZE"),
        ("LIMIT", {"quantity": "0.04999", "price": "100"}, "NOTIONAL"),
        ("LIMIT", {"quantity": "0.05", "price": "100"}, None),
        ("MARKET", {"quantity": "0.04999"}, "NOTIONAL"),
        ("MARKET", {"quantity": "100.1"}, "MARKET_LOT_SIZE"),
        ("MARKET", {"quote_quantity": "4.99"}, "NOTIONAL"),
        ("MARKET", {"quote_quantity": "5"}, None),
        ("STOP_LOSS", {"quantity": "1", "stop_price": "90.001"}, "PRICE_FILTER"),
        ("STOP_LOSS_LIMIT", {"quantity": "0.06", "stop_price": "90", "price": "80"}, "NOTIONAL"),
        ("LIMIT_MAKER", {"quantity": "8999", "price": "490"}, None),
    ],
)
def test_an_order_is_measured_by_the_published_filters(kind: str, terms: dict[str, str], failed: str | None) -> None:
    if failed is None:
        check_filters(to_request("SELL", kind, **terms), BTC, LAST)
        return
    with pytest.raises(ApiError) as caught:
        check_filters(to_request("SELL", kind, **terms), BTC, LAST)
    assert (caught.value.code, caught.value.message) == (-1013, f"Filter failure: {failed}")


def test_exchange_info_publishes_exactly_the_filters_that_are_enforced() -> None:
    published = {row["filterType"]: row for row in filters.filters_as_json(BTC)}
    assert list(published) == [
        "PRICE_FILTER",
        "LOT_SIZE",
        "MARKET_LOT_SIZE",
        "PERCENT_PRICE_BY_SIDE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
        "MAX_NUM_ALGO_ORDERS",
    ]
    assert published["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert published["PRICE_FILTER"]["maxPrice"] == "1000000.00000000"
    assert published["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert published["PERCENT_PRICE_BY_SIDE"]["askMultiplierDown"] == "0.2"
    assert published["NOTIONAL"]["minNotional"] == "5.00000000"
    assert published["MAX_NUM_ORDERS"]["maxNumOrders"] == 20
