from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from lib.adapters.exchange.account import MOST_FILLS, BinanceAccount
from lib.errors import BadAnswer
from lib.portfolio.fills import Balance, Fill, Side
from tests.adapters.exchange.peer import GARBAGE, NOW, Answer, Peer, fill_row, milliseconds


def balances(*rows: tuple[Any, Any, Any]) -> dict[str, Any]:
    return {"balances": [{"asset": asset, "free": free, "locked": locked} for asset, free, locked in rows]}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_with_status_200_is_a_bad_answer(account: BinanceAccount, peer: Peer, garbage: Answer) -> None:
    peer.reply("account", garbage)
    peer.reply("myTrades", garbage)
    with pytest.raises(BadAnswer):
        await account.fetch_balances()
    with pytest.raises(BadAnswer):
        await account.fetch_fills("BTC/USDT", 0)


async def test_balances_are_exact_and_empty_ones_are_left_out(account: BinanceAccount, peer: Peer) -> None:
    peer.reply(
        "account",
        balances(("BTC", "1.00000001", "0.50000000"), ("USDT", "0.00000000", "20.1"), ("DOGE", "0.00000000", "0.0")),
    )
    assert await account.fetch_balances() == {
        "BTC": Balance("BTC", Decimal("1.00000001"), Decimal("0.5")),
        "USDT": Balance("USDT", Decimal(0), Decimal("20.1")),
    }


async def test_requests_are_signed_as_binance_documents(account: BinanceAccount, peer: Peer) -> None:
    peer.reply("account", balances())
    await account.fetch_balances()
    query = peer.asked[-1].query
    signature = query.pop("signature")
    assert hmac.new(b"the-api-secret", urlencode(query).encode(), hashlib.sha256).hexdigest() == signature
    assert peer.asked[-1].headers["X-MBX-APIKEY"] == "the-api-key"
    assert query["timestamp"] == str(milliseconds(NOW))


WRONG_BALANCES = {
    "a negative amount": ("BTC", "-0.1", "0.0"),
    "a negative lock": ("BTC", "0.1", "-0.1"),
    "a number": ("BTC", 1.5, "0.0"),
    "NaN": ("BTC", "NaN", "0.0"),
    "null": ("BTC", None, "0.0"),
    "an asset as a number": (7, "1.0", "0.0"),
    "an asset without a name": ("", "1.0", "0.0"),
    "an asset twice": ("USDT", "0.0", "0.0"),
}


@pytest.mark.parametrize("row", WRONG_BALANCES.values(), ids=WRONG_BALANCES.keys())
async def test_a_wrong_balance_refuses_all(account: BinanceAccount, peer: Peer, row: tuple[Any, Any, Any]) -> None:
    peer.reply("account", balances(("USDT", "5.0", "0.0"), row))
    with pytest.raises(BadAnswer, match="simulator account main"):
        await account.fetch_balances()


async def test_a_fill_is_exact(account: BinanceAccount, peer: Peer) -> None:
    peer.reply("myTrades", [fill_row(5), fill_row(9, isBuyer=False, commission="0.00000000")])
    first, second = await account.fetch_fills("BTC/USDT", 5)
    assert first == Fill(
        account="main",
        symbol="BTC/USDT",
        fill_id=5,
        order_id="7",
        side=Side.BUY,
        price=Decimal("100.1"),
        quantity=Decimal("0.12345678"),
        fee=Decimal("0.00012346"),
        fee_asset="BTC",
        filled_at=NOW - timedelta(minutes=1),
    )
    assert (second.fill_id, second.side, second.fee) == (9, Side.SELL, Decimal(0))
    assert peer.asked[-1].query["fromId"] == "5"


async def test_pages_of_fills_are_followed_to_the_end(account: BinanceAccount, peer: Peer) -> None:
    full = [fill_row(number) for number in range(MOST_FILLS)]
    peer.reply("myTrades", full, [fill_row(MOST_FILLS + 500)])
    fills = await account.fetch_fills("BTC/USDT", 0)
    assert [fill.fill_id for fill in fills] == [*range(MOST_FILLS), MOST_FILLS + 500]
    assert [asked.query["fromId"] for asked in peer.asked if asked.endpoint == "myTrades"] == ["0", str(MOST_FILLS)]


async def test_a_page_that_comes_again_is_a_bad_answer_and_no_endless_loop(account: BinanceAccount, peer: Peer) -> None:
    peer.reply("myTrades", [fill_row(number) for number in range(MOST_FILLS)])
    with pytest.raises(BadAnswer, match="ids that rise"):
        await account.fetch_fills("BTC/USDT", 0)


WRONG_FILLS: dict[str, list[dict[str, Any]]] = {
    "a fill of another symbol": [fill_row(5, symbol="ETHUSDT")],
    "an id below the wanted one": [fill_row(4)],
    "ids that fall": [fill_row(6), fill_row(5)],
    "an id twice": [fill_row(6), fill_row(6)],
    "an id as text": [fill_row(5, id="5")],
    "an order id as text": [fill_row(5, orderId="7")],
    "a quantity of zero": [fill_row(5, qty="0.00000000")],
    "a negative quantity": [fill_row(5, qty="-1.0")],
    "a quantity as a number": [fill_row(5, qty=1.0)],
    "a price of zero": [fill_row(5, price="0.0")],
    "a price that is NaN": [fill_row(5, price="NaN")],
    "a negative fee": [fill_row(5, commission="-0.1")],
    "a fee in nothing": [fill_row(5, commissionAsset="")],
    "a side as text": [fill_row(5, isBuyer="true")],
    "a time as text": [fill_row(5, time="1772622000000")],
    "a time in the future": [fill_row(5, time=milliseconds(NOW + timedelta(hours=1)))],
    "more fills than the limit": [fill_row(5 + number) for number in range(MOST_FILLS + 1)],
}


@pytest.mark.parametrize("rows", WRONG_FILLS.values(), ids=WRONG_FILLS.keys())
async def test_a_wrong_fill_refuses_all(account: BinanceAccount, peer: Peer, rows: list[dict[str, Any]]) -> None:
    peer.reply("myTrades", rows)
    with pytest.raises(BadAnswer, match=r"simulator fills of BTC/USDT of main.*Nothing is stored"):
        await account.fetch_fills("BTC/USDT", 5)
