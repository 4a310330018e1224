"""What people are told of BUYs, in how many messages, with which pictures."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import ClassVar

from sqlalchemy import Engine

from lib.adapters.database.signals import DatabaseSignals
from lib.notifications.messages import Message
from lib.strategy.breakout import Breakout
from lib.strategy.registry import STRATEGIES
from lib.strategy.stores import SignalKey
from tests.strategy.conftest import Desk, wave


class Keeping(DatabaseSignals):
    """Keeps the messages that are told, with their files."""

    def __init__(self, engine: Engine, recorded: list[Message]) -> None:
        super().__init__(engine)
        self._recorded = recorded

    def tell(self, message: Message, keys: Collection[SignalKey], at: datetime) -> bool:
        self._recorded.append(message)
        return super().tell(message, keys, at)


class Twin(Breakout):
    """Says what breakout says."""

    name: ClassVar[str] = "twin"


def test_the_alert_says_what_a_person_needs_to_trade_by_hand(breaking_out: Desk) -> None:
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert message.title == "🚀 BUY SOL/USDT: breakout 1h"
    assert (message.type, message.severity) == ("signal", "info")
    for part in (
        "Close (105) is above high of 20 candles before + 0.25 ATR",
        "Price 105 (close of the 1h candle of 2026-03-02 11:00 UTC)",
        "stop loss ",
        "take profit ",
        "confidence 0.",
        "demo: buy 14.285 SOL for 1,499.92 USDT",
        "What to do: ",
        "Valid until 2026-03-02 13:00 UTC",
    ):
        assert part in message.body


def test_the_alert_carries_a_picture(breaking_out: Desk) -> None:
    recorded: list[Message] = []

    breaking_out.run(signals=Keeping(breaking_out.engine, recorded))
    (picture,) = recorded[0].attachments
    assert (picture.name, picture.media_type) == ("SOL-USDT-breakout.png", "image/png")
    assert picture.content.startswith(b"\x89PNG")


def test_each_buy_names_the_others_of_its_candle(breaking_out: Desk) -> None:
    breaking_out.store_closes("ADA/USDT", [*wave(100, 399), 106.0])
    breaking_out.run()
    first, second = breaking_out.messages()
    assert "BUY at the same candle: SOL/USDT (breakout)" in first.body + second.body
    assert "BUY at the same candle: ADA/USDT (breakout)" in first.body + second.body


def test_an_alert_whose_picture_cannot_be_drawn_goes_without_it_and_says_so(breaking_out: Desk) -> None:
    breaking_out.run()
    breaking_out.query("UPDATE signals SET alerted_at = NULL")  # a run was killed before it told
    breaking_out.query("DELETE FROM notifications")
    breaking_out.query("DELETE FROM candles")  # and what the picture shows is gone
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert message.body.endswith("(The chart of SOL/USDT could not be drawn: ValueError.)")


def let_all_break_out(desk: Desk, symbols: int) -> None:
    """Let every symbol break out, the last one most of all."""
    desk.symbols = tuple(f"S{number}/USDT" for number in range(symbols))
    for number, symbol in enumerate(desk.symbols):
        desk.list_symbol(symbol)
        desk.store_closes(symbol, [*wave(100, 399), 105.0 + number / 10])


def test_when_the_whole_market_breaks_out_one_message_names_all_with_their_sizes(desk: Desk) -> None:
    let_all_break_out(desk, 13)
    desk.open_account("young", None)
    desk.accounts = ("demo", "young")
    recorded: list[Message] = []
    result = desk.run(signals=Keeping(desk.engine, recorded))
    assert result.counts == {"new signals": 13, "buys": 13, "alerts": 1, "missed buys": 0}
    (message,) = recorded
    assert message.title == "🚀 BUY 13 symbols: breakout 1h"
    first, second, *lines = message.body.splitlines()
    assert first.startswith("S12/USDT: close (106.2) is above high of 20 candles before")
    assert second == "Prices are closes of the 1h candle of 2026-03-02 11:00 UTC."
    assert [line.split()[0] for line in lines[:13]] == [f"S{number}/USDT" for number in reversed(range(13))]
    assert lines[12].startswith("S0/USDT 105, stop ")
    assert lines[12].endswith(": demo 14.285")
    for part in ("young: not sized", "as if it were the only one", "Valid until 2026-03-02 13:00 UTC", "3 strongest"):
        assert part in message.body
    assert [one.name for one in message.attachments] == [f"S{number}-USDT-breakout.png" for number in (12, 11, 10)]
    assert desk.run().counts["alerts"] == 0


def test_a_dozen_buys_of_a_strategy_have_a_message_each(desk: Desk) -> None:
    let_all_break_out(desk, 12)
    assert desk.run().counts["alerts"] == 12
    assert not any("No chart" in message.body for message in desk.messages())


def test_the_strongest_of_many_messages_have_pictures(desk: Desk) -> None:
    let_all_break_out(desk, 7)
    assert desk.run(code={**STRATEGIES, "twin": Twin}).counts["alerts"] == 14
    without = [message for message in desk.messages() if "(No chart: the 12 strongest have one.)" in message.body]
    assert {message.title for message in without} == {"🚀 BUY S0/USDT: breakout 1h", "🚀 BUY S0/USDT: twin 1h"}


def test_a_buy_that_comes_late_says_how_old_its_price_is(breaking_out: Desk) -> None:
    breaking_out.clock.pass_time(minutes=45)
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert "The candle closed 45 min ago: look at the price before you buy." in message.body


def test_a_buy_in_time_does_not_say_how_old_its_price_is(breaking_out: Desk) -> None:
    breaking_out.clock.pass_time(minutes=4)
    breaking_out.run()
    (message,) = breaking_out.messages()
    assert "ago" not in message.body
