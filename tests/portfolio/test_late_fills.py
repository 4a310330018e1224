"""A fill that turns up after younger ones: whoever held the symbol's stop loss, its open position has it afterwards."""

from __future__ import annotations

from decimal import Decimal

from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.fills import BookedFill
from lib.portfolio.ledger import build_ledger
from lib.portfolio.stores import HeldPosition
from lib.portfolio.valuation import value_position
from tests.portfolio.conftest import Desk
from tests.portfolio.samples import ACCOUNT, at, buy, sell

TOLD = Alarm(at(20), at(20), 2)


def book(desk: Desk, *fills: BookedFill) -> None:
    with desk.store.open_books(ACCOUNT) as books:
        books.add_fills(fills, desk.clock.now())
        books.replace_ledger(build_ledger(books.load_fills()))


def protect(desk: Desk) -> HeldPosition:
    """Give the open position a price, both limits and an alarm."""
    with desk.store.open_books(ACCOUNT) as books:
        books.save_valuations({"SOL/USDT": value_position(desk.held().position, Decimal(94), at(20))})
    assert desk.store.save_limits(desk.held(), Decimal(95), Decimal(130))
    assert desk.store.save_alarm(desk.held(), AlarmKind.STOP_LOSS, TOLD)
    return desk.held()


def assert_protected(desk: Desk, opened_by: str) -> None:
    held = desk.held()
    assert held.position.opened_by == opened_by
    assert (held.stop_loss, held.take_profit) == (Decimal(95), Decimal(130))
    assert held.alarms[AlarmKind.STOP_LOSS] == TOLD
    assert held.valuation is not None
    assert (held.valuation.price, held.valuation.price_at) == (Decimal(94), at(20))


def test_a_late_buy_that_joins_two_holdings_keeps_the_stop_of_the_open_one(desk: Desk) -> None:
    book(desk, buy("1", "100", number=10), sell("1", "101", number=12), buy("1", "100", number=17))
    protect(desk)
    book(desk, buy("0.5", "100", number=11))
    assert desk.held().position.quantity == Decimal("1.5")
    assert_protected(desk, "SOL/USDT#10")


def test_a_late_sell_that_splits_a_holding_leaves_its_stop_with_the_open_part(desk: Desk) -> None:
    book(desk, buy("1", "100", number=10), buy("1", "100", number=17))
    protect(desk)
    book(desk, sell("1", "101", number=12))
    assert_protected(desk, "SOL/USDT#17")


def test_an_earlier_opening_fill_keeps_the_stop(desk: Desk) -> None:
    book(desk, buy("1", "100", number=10))
    protect(desk)
    book(desk, buy("1", "100", number=9))
    assert_protected(desk, "SOL/USDT#9")


def test_a_holding_that_was_sold_and_bought_anew_starts_without_the_old_stop(desk: Desk) -> None:
    book(desk, buy("1", "100", number=10))
    protect(desk)
    book(desk, sell("1", "94", number=11), buy("1", "94", number=12))
    assert desk.held().position.opened_by == "SOL/USDT#12"
    assert (desk.held().stop_loss, desk.held().alarms) == (None, {})


def test_messages_are_numbered_on_from_the_holding_that_told_more(desk: Desk) -> None:
    book(desk, buy("1", "100", number=10))
    protect(desk)
    assert desk.store.save_alarm(desk.held(), AlarmKind.STOP_LOSS, Alarm(at(11), at(11), 7))
    book(desk, sell("1", "101", number=12), buy("1", "100", number=17))
    protect(desk)
    book(desk, buy("0.5", "100", number=11))
    assert desk.held().alarms[AlarmKind.STOP_LOSS] == Alarm(at(20), at(20), 7)


async def test_an_import_hands_the_stop_on_when_the_exchange_shows_a_sale_late(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.clock.pass_time(minutes=1)
    late = desk.exchange.trade("sell", "1", "101")
    desk.exchange.hidden.add(late.key)
    desk.clock.pass_time(minutes=1)
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    assert desk.held().position.opened_by == "SOL/USDT#1"
    assert desk.store.save_limits(desk.held(), Decimal(95), None)
    desk.exchange.hidden.clear()
    await desk.run(minutes=5)
    assert (desk.held().position.opened_by, desk.held().stop_loss) == ("SOL/USDT#3", Decimal(95))


def test_the_value_of_a_fee_is_fixed_once(desk: Desk) -> None:
    book(desk, buy("1", "100", "0.001 BNB", number=1))
    for worth in ("0.6", "0.7"):
        with desk.store.open_books(ACCOUNT) as books:
            books.value_fees([buy("1", "100", "0.001 BNB", worth, number=1)])
    assert desk.query("SELECT fee_quote FROM fills") == [(Decimal("0.6"),)]
