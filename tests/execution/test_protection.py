"""What a position's protection needs, and which orders it becomes: numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lib.errors import OrderRefused
from lib.execution.orders import Attempt, AttemptOutcome, Order, OrderKind, OrderState
from lib.execution.protection import Ending, Guard, count_locked, free_up
from lib.execution.protection_messages import write_ended
from lib.execution.protection_needs import Need, judge
from lib.execution.protection_plan import Market, Planned, plan_protection
from lib.market.book import Level, OrderBook
from lib.market.symbols import SymbolStatus
from lib.portfolio.fills import Balance, Fill, Side
from lib.portfolio.ledger import Position
from lib.portfolio.stores import HeldPosition, Listing
from lib.portfolio.valuation import Valuation

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOL = Listing(SymbolStatus.TRADING, Decimal("0.01"), Decimal("0.1"), Decimal("0.01"), Decimal(5))


def hold(
    quantity: str = "2.005", stop: str | None = "90", target: str | None = "120", price: str = "100"
) -> HeldPosition:
    position = Position(
        symbol="SOL/USDT",
        opened_by="SOL/USDT#1",
        opened_at=NOW,
        closed_at=None,
        quantity=Decimal(quantity),
        cost_quote=Decimal(200),
        average_cost=Decimal(100),
        realized_pnl_quote=Decimal(0),
        fees_quote=Decimal(0),
        quantity_step=Decimal("0.01"),
    )
    valuation = Valuation(Decimal(price), NOW, Decimal(0), Decimal(0))
    return HeldPosition(
        "main", position, valuation, Decimal(stop) if stop else None, Decimal(target) if target else None
    )


def see(free: str | None = "5", bid: str = "100", ask: str = "100.1", listing: Listing = SOL) -> Market:
    book = OrderBook("SOL/USDT", (Level(Decimal(bid), Decimal(9)),), (Level(Decimal(ask), Decimal(9)),))
    balance = None if free is None else Balance("SOL", Decimal(free), Decimal(0))
    return Market(listing, book, balance, Decimal(2))


def plan(held: HeldPosition, market: Market, known: tuple[Guard, ...] = ()) -> Planned:
    planned = plan_protection(held, known, market, NOW)
    assert planned is not None
    return planned


def guard(
    state: OrderState = OrderState.OPEN, sold: str = "0", outcome: AttemptOutcome = AttemptOutcome.ACCEPTED, **of: Any
) -> Guard:
    """What was placed for the position that is held, an hour and a half ago."""
    planned = plan(hold(), see())
    fills: tuple[Fill, ...] = ()
    if Decimal(sold):
        fills = (Fill("main", "SOL/USDT", 7, "3", Side.SELL, Decimal(89), Decimal(sold), Decimal(0), "USDT", NOW),)
    orders = tuple(
        Order(intent, state, (Attempt(1, NOW, outcome),), "3", fills if intent.stop_price else (), "no", "", NOW)
        for intent in planned.intents
    )
    placed_at = NOW - timedelta(minutes=90)
    return Guard(replace(planned.protection, created_at=placed_at, looked_at=placed_at, **of), orders)


def need(held: HeldPosition | None, *known: Guard, is_on: bool = True, again: bool = False) -> Need:
    return judge(held, known, is_on=is_on, now=NOW, again=again).need


def test_prices_are_cut_to_ticks_and_the_quantity_to_steps() -> None:
    stop, target = plan(hold(stop="90.07", target="120.01"), see()).intents
    assert (stop.kind, stop.quantity, stop.stop_price, stop.limit_price) == (
        OrderKind.STOP_LOSS_LIMIT,
        Decimal("2"),
        Decimal("90.0"),
        Decimal("88.2"),
    )
    assert (target.kind, target.limit_price, target.stop_price) == (OrderKind.LIMIT_MAKER, Decimal("120.1"), None)
    assert stop.client_order_id[:-1] == target.client_order_id[:-1] and stop.plan == target.plan


def test_without_a_target_or_beyond_it_the_stop_rests_alone() -> None:
    assert len(plan(hold(target=None), see()).intents) == 1
    reached = plan(hold(), see(bid="119.9", ask="120"))
    assert len(reached.intents) == 1 and "which the price has reached" in reached.protection.note
    long_ago = guard(OrderState.REJECTED, outcome=AttemptOutcome.REFUSED)
    refused = replace(long_ago, protection=replace(long_ago.protection, created_at=NOW - timedelta(minutes=59)))
    assert len(plan(hold(), see(), (refused,)).intents) == 1
    assert len(plan(hold(), see(), (long_ago,)).intents) == 2  # offered again each hour
    assert len(plan(hold(target="130"), see(), (refused,)).intents) == 2  # other limits
    assert (
        len(plan(hold(), see(), (replace(refused, orders=guard(OrderState.REJECTED).orders),)).intents) == 2
    )  # withdrawn, not refused


def test_what_cannot_be_sent_says_why() -> None:
    assert plan_protection(hold(), (), see(bid="90"), NOW) is None
    assert "below 0.01" in plan(hold(), see(free="0.005")).protection.refusal
    assert "below 0.01" in plan(hold(), see(free=None)).protection.refusal
    poor = plan(hold(), see(listing=replace(SOL, min_notional=Decimal(177))))  # 2 x 88.2 = 176.4
    assert "worth 176.40 USDT" in poor.protection.refusal and poor.intents == ()
    assert plan(hold(), see(listing=replace(SOL, min_notional=Decimal("176.4")))).intents
    partly = plan(hold(), see(free="1.5"))
    assert partly.protection.quantity == Decimal("1.5") and partly.protection.note.startswith("1.5 of 2.005")
    with pytest.raises(OrderRefused, match="steps of SOL/USDT"):
        plan(hold(), see(listing=replace(SOL, price_step=None)))


def test_what_rests_as_it_should_needs_nothing() -> None:
    assert need(hold(), guard()) is Need.NOTHING
    assert need(hold("2.02"), guard()) is Need.NOTHING  # within one percent
    assert need(hold("1.205"), guard(OrderState.PARTIALLY_FILLED, sold="0.8")) is Need.NOTHING


@pytest.mark.parametrize("changes", [{"stop": "91"}, {"target": None}, {"quantity": "2.1"}, {"quantity": "1.98"}])
def test_another_limit_or_size_replaces_it(changes: dict[str, Any]) -> None:
    assert need(hold(**changes), guard()) is Need.REPLACE


def test_what_a_killed_run_left_is_replaced() -> None:
    for state in (OrderState.NEW, OrderState.ATTEMPTED, OrderState.UNKNOWN):
        assert need(hold(), guard(state)) is Need.REPLACE
    assert need(hold(), guard(), guard()) is Need.REPLACE
    assert need(hold(), guard(released_at=NOW, release_why="a sale")) is Need.REPLACE


def test_a_take_profit_that_sold_a_part_has_ended_the_stop_loss_of_the_rest() -> None:
    below, above = guard().orders
    partly = replace(above, state=OrderState.PARTIALLY_FILLED)
    left = Guard(guard().protection, (replace(below, state=OrderState.EXPIRED), partly))
    assert left.is_sound and need(hold(), left) is Need.REPLACE


def test_without_a_position_a_stop_or_the_setting_it_is_released() -> None:
    for held, is_on in ((None, True), (hold(stop=None), True), (hold(), False)):
        assert need(held, guard(), is_on=is_on) is Need.RELEASE
        assert need(held, guard(OrderState.CANCELLED), is_on=is_on) is Need.NOTHING


def test_one_that_protects_a_part_is_looked_at_again_after_an_hour() -> None:
    short = plan(hold(), see(free="1.5")).protection.note
    assert need(hold(), guard(note=short)) is Need.REPLACE
    assert need(hold("3"), replace_look(guard(note=short))) is Need.NOTHING
    assert need(hold(stop="91"), replace_look(guard(note=short))) is Need.REPLACE
    planned = plan(hold(), see())
    assert planned.is_no_better(guard())
    assert not plan(hold(stop="91"), see()).is_no_better(guard())
    assert not plan(hold("3"), see()).is_no_better(guard())


def test_one_without_its_take_profit_follows_the_size_of_the_position() -> None:
    note = plan(hold(), see(bid="119.9", ask="120")).protection.note
    assert need(hold(), replace_look(guard(note=note))) is Need.NOTHING
    assert need(hold("4"), replace_look(guard(note=note))) is Need.REPLACE
    by_hand = replace_look(guard(OrderState.CANCELLED, note=note))
    assert need(hold(), by_hand) is Need.NOTHING and need(hold("4"), by_hand) is Need.PLACE
    short = plan(hold(), see(free="1.5", bid="119.9", ask="120")).protection.note
    assert need(hold("4"), replace_look(guard(note=short))) is Need.NOTHING  # no more of it may be free


def replace_look(one: Guard) -> Guard:
    return replace(one, protection=replace(one.protection, looked_at=NOW - timedelta(minutes=59)))


def test_what_ended_is_placed_again_or_not_by_how_it_ended() -> None:
    by_hand = guard(OrderState.CANCELLED)
    assert by_hand.ending is Ending.CANCELLED
    assert need(hold(), by_hand) is Need.NOTHING
    assert need(hold(), by_hand, again=True) is Need.PLACE
    assert need(hold(stop="91"), by_hand) is Need.PLACE
    assert need(hold("1"), by_hand) is Need.PLACE
    ours = guard(OrderState.CANCELLED, released_at=NOW, release_why="a sale")
    assert ours.ending is Ending.RELEASED and need(hold(), ours) is Need.PLACE
    refused = guard(OrderState.REJECTED, outcome=AttemptOutcome.REFUSED)
    assert refused.ending is Ending.REFUSED
    assert need(hold(), refused) is Need.PLACE and need(hold(), replace_look(refused)) is Need.NOTHING
    expired = replace_look(guard(OrderState.EXPIRED))
    assert expired.ending is Ending.EXPIRED
    assert need(hold(), expired) is Need.PLACE  # at once, but not over and over
    assert need(hold(), expired, expired) is Need.NOTHING and need(hold(), refused, expired) is Need.PLACE
    assert need(hold(), expired, refused, guard(OrderState.EXPIRED)) is Need.PLACE
    halted = Guard(refused.protection, tuple(replace(one, refusal="halted") for one in refused.orders))
    assert halted.ending is Ending.RELEASED
    sold = guard(OrderState.EXPIRED, sold="2")
    assert sold.ending is Ending.SOLD
    assert need(hold(), Guard(by_hand.protection, ())) is Need.PLACE  # killed before its orders were stored
    assert need(hold(price="90"), ours) is Need.NOTHING  # the stop loss is hit


def test_what_it_locks_counts_once_and_as_free_before_a_sale() -> None:
    assert count_locked([guard()]) == {"SOL": Decimal(2)}
    assert count_locked([guard(OrderState.PARTIALLY_FILLED, sold="0.5")]) == {"SOL": Decimal("1.5")}
    assert count_locked([guard(OrderState.CANCELLED), guard(OrderState.NEW)]) == {}
    balances = {"SOL": Balance("SOL", Decimal(1), Decimal(3)), "BTC": Balance("BTC", Decimal(1), Decimal(1))}
    freed = free_up(balances, {"SOL": Decimal(2), "ETH": Decimal(1)})
    assert freed == balances | {"SOL": Balance("SOL", Decimal(3), Decimal(1))}
    assert free_up(balances, {"SOL": Decimal(9)})["SOL"] == Balance("SOL", Decimal(4), Decimal(0))


def test_what_was_sold_is_told_with_what_is_left_and_a_release_is_not_told() -> None:
    released = guard(OrderState.CANCELLED, sold="0.5", released_at=NOW, release_why="it made room for a sale")
    message = write_ended(released, hold("1.505"), None, NOW)
    assert message is not None and message.title == "🛑 Stop loss sold on the exchange: SOL/USDT (main)"
    assert "1.5 of it was not sold: it made room for a sale." in message.body
    assert "stop loss 90" in message.body and "The position now: 1.505" in message.body
    assert write_ended(guard(OrderState.CANCELLED, released_at=NOW, release_why="x"), hold(), None, NOW) is None


def test_what_follows_a_part_that_was_sold_is_what_the_next_chain_does() -> None:
    def told(one: Guard, held: HeldPosition) -> str:
        message = write_ended(one, held, None, NOW)
        assert message is not None
        return message.body.partition("The position now")[2]

    by_hand = guard(OrderState.CANCELLED, sold="0.5")
    assert by_hand.ending is Ending.CANCELLED and need(hold("1.505"), by_hand) is Need.NOTHING
    assert "The rest of it was cancelled, and not by FKS." in told(by_hand, hold("1.505"))
    assert "by the next chain" not in told(by_hand, hold("1.505"))
    assert "protected by the next chain" in told(by_hand, hold("1.505", stop="91"))  # limits of now, so placed
    ours = guard(OrderState.CANCELLED, sold="0.5", released_at=NOW, release_why="it made room for a sale")
    assert "what is left when that is done" in told(ours, hold("1.505"))
    ended = guard(OrderState.EXPIRED, sold="0.5")
    assert "what is left is protected by the next chain" in told(ended, hold("1.505"))
    assert "not protected by the next chain: the price is at or below" in told(ended, hold("1.505", price="89"))


def test_that_nothing_rests_is_told_again_after_something_has_rested() -> None:
    def key(one: Guard, *known: Guard) -> str:
        message = write_ended(one, hold(), None, NOW, known=known)
        assert message is not None and "Not protected" in message.title
        return message.deduplication_key

    def name(one: Guard, at: datetime) -> Guard:
        named = replace(one.protection, protection_id=f"{at:%H%M}", created_at=at)
        return replace(one, protection=named)

    hours = [NOW + timedelta(hours=number) for number in range(5)]
    refused = [name(guard(OrderState.REJECTED, outcome=AttemptOutcome.REFUSED), at) for at in hours]
    expired = [name(guard(OrderState.EXPIRED), at) for at in hours]
    assert key(expired[0], *expired[:1]) != key(expired[2], *expired[:3])
    assert key(refused[0], *refused[:1]) == key(refused[1], *refused[:2])
    rested = name(guard(OrderState.CANCELLED, released_at=NOW, release_why="a sale"), hours[2])
    assert key(refused[3], *refused[:2], rested, refused[3]) != key(refused[0], *refused[:1])
    assert key(refused[4], rested, *refused[3:]) == key(refused[3], rested, refused[3])
