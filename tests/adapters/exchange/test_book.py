from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.book_answers import to_book
from lib.errors import BadAnswer
from tests.adapters.exchange.peer import GARBAGE, Answer, Peer

BOOK = {"lastUpdateId": 7, "bids": [["99.5", "2"], ["99", "1"]], "asks": [["100.5", "0.25"], ["101", "3"]]}


async def test_a_book_keeps_every_digit_and_the_order_of_its_levels(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply("depth", BOOK)
    book = await exchange.fetch_book("BTC/USDT")
    assert book.bids == ((Decimal("99.5"), Decimal(2)), (Decimal(99), Decimal(1)))
    assert book.asks == ((Decimal("100.5"), Decimal("0.25")), (Decimal(101), Decimal(3)))
    assert peer.asked[-1].query == {"symbol": "BTCUSDT", "limit": "100"}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_a_bad_answer(exchange: BinanceExchange, peer: Peer, garbage: Answer) -> None:
    peer.reply("depth", garbage)
    with pytest.raises(BadAnswer):
        await exchange.fetch_book("BTC/USDT")


@pytest.mark.parametrize(
    "changed",
    [
        {"bids": [["100.5", "1"]]},  # crossed
        {"bids": [["99", "1"], ["99.5", "2"]]},
        {"asks": [["101", "3"], ["100.5", "0.25"]]},
        {"asks": [["100.5", "1"], ["100.5", "2"]]},
        {"asks": [["100.5", "0"]]},
        {"bids": [["0", "1"]]},
        {"asks": [[100.5, "1"]]},
        {"asks": [["100.5"]]},
        {"asks": None},
    ],
)
def test_a_book_that_cannot_be_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="Nothing is stored"):
        to_book(BOOK | changed, where="depth", symbol="BTC/USDT")


def test_an_empty_side_is_possible() -> None:
    assert to_book(BOOK | {"asks": []}, where="depth", symbol="BTC/USDT").asks == ()
