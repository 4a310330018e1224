"""Control of accounts, and the books as the truth."""

from __future__ import annotations

import pytest

from tests.simulator.signed_client import trader
from tests.simulators import ControlRefused, RunningSimulator


def test_the_books_tell_everything_of_every_account(simulator: RunningSimulator) -> None:
    with trader(simulator, USDT="1000") as client:
        placed = client.post("/order", symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="100")
        books = simulator.control.request("GET", "/books")["accounts"]
        assert set(books) == {"simulator-key", "trader"}
        mine = books["trader"]
        assert [order["client_order_id"] for order in mine["orders"]] == [placed["clientOrderId"]]
        assert [trade["order_id"] for trade in mine["trades"]] == [placed["orderId"]]
        assert [(move["kind"], move["amount"]) for move in mine["movements"]] == [("DEPOSIT", "1000")]
        assert set(mine["balances"]) == {"BTC", "USDT"}
        assert "secret" not in str(books)


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/accounts", {"api_key": "simulator-key", "api_secret": "x"}, "400: .*already.*Choose another key"),
        ("POST", "/accounts", {"api_key": "a b", "api_secret": "x"}, "400: api_key"),
        ("POST", "/accounts", {"api_key": "new", "api_secret": "x", "balances": {"USDT": "-1"}}, "400: amount"),
        ("POST", "/accounts", {"api_key": "new", "api_secret": "x", "fees": True}, "400: fees"),
        ("PATCH", "/accounts", {"api_key": "nobody", "can_trade": False}, "404: .*There are: simulator-key"),
        ("POST", "/deposit", {"asset": "USDT", "amount": "0"}, "400: amount"),
        ("POST", "/deposit", {"asset": "usdt", "amount": "1"}, "400: asset"),
        ("POST", "/withdraw", {"asset": "USDT", "amount": "1000000"}, "400: .*Withdraw less"),
    ],
)
def test_control_of_the_books_refuses_what_cannot_be(
    simulator: RunningSimulator, method: str, path: str, body: dict[str, object], said: str
) -> None:
    before = simulator.control.request("GET", "/books"), simulator.control.request("GET", "/accounts")
    with pytest.raises(ControlRefused, match=said):
        simulator.control.request(method, path, **body)
    assert (simulator.control.request("GET", "/books"), simulator.control.request("GET", "/accounts")) == before


def test_accounts_are_listed_without_secrets(simulator: RunningSimulator) -> None:
    listed = simulator.control.request("GET", "/accounts")["accounts"]
    assert [account["api_key"] for account in listed] == ["simulator-key"]
    assert "api_secret" not in listed[0]
