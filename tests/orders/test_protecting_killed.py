"""A run that protects positions, killed after each of its steps: the next one ends with one protection, of now."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.orders import DatabaseOrderDesk, DatabaseOrders
from lib.adapters.database.protections import DatabaseProtections
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.orders import BinanceOrders
from lib.execution.orders import Order, OrderIntent, OrderReport
from lib.execution.protection import Protection
from tests.orders.conftest import LIVE
from tests.orders.test_protecting import ProtectedDesk, protected_desk

__all__ = ["protected_desk"]  # the fixture
FAULTS = (None, None, "drop_before", "drop_after", "unknown_after")
LIST, ORDER = "/api/v3/orderList/oco", "/api/v3/order"


class Killed(BaseException):
    """The end of a process: nobody catches it."""


@dataclass
class Fate:
    """Lets so many steps be taken; None: all."""

    left: int | None = None

    def step(self) -> None:
        if self.left is None:
            return
        if self.left == 0:
            raise Killed
        self.left -= 1


class MortalDesk(DatabaseOrderDesk):
    fate: Fate

    def add_all(self, intents: Sequence[OrderIntent]) -> list[Order]:
        added = super().add_all(intents)
        self.fate.step()
        return added

    def save_all(self, before: Sequence[Order], after: Sequence[Order]) -> Sequence[Order]:
        saved = super().save_all(before, after)
        self.fate.step()
        return saved


class MortalStore(DatabaseOrders):
    fate: Fate

    @contextmanager
    def open_desk(self, account: str) -> Iterator[DatabaseOrderDesk]:
        with super().open_desk(account) as desk:
            mortal = MortalDesk(desk._connection, account)
            mortal.fate = self.fate
            yield mortal


class MortalVenue(BinanceOrders):
    fate: Fate

    async def submit_list(self, intents: Sequence[OrderIntent], attempted_at: datetime) -> Sequence[OrderReport]:
        reports = await super().submit_list(intents, attempted_at)
        self.fate.step()
        return reports

    async def submit(self, intent: OrderIntent, attempted_at: datetime) -> OrderReport:
        report = await super().submit(intent, attempted_at)
        self.fate.step()
        return report

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        await super().cancel(symbol, client_order_id)
        self.fate.step()


class MortalProtections(DatabaseProtections):
    fate: Fate

    def add(self, protection: Protection) -> None:
        super().add(protection)
        self.fate.step()

    def release(self, protection: Protection, why: str, now: datetime) -> None:
        super().release(protection, why, now)
        self.fate.step()


def make_mortal(desk: ProtectedDesk, fate: Fate) -> None:
    """Let every step of the desk's platform meet its fate, and wait less for what was not booked."""
    platform = desk.desk.platform
    account: Any = platform.accounts[LIVE]
    assert isinstance(account, BinanceAccount)
    engine = platform.trading.orders._engine  # type: ignore[attr-defined]  # the real one's
    parts: tuple[Any, ...] = (MortalStore(engine), MortalProtections(engine), MortalVenue(account.link, LIVE))
    for part in parts:
        part.fate = fate
    orders, protections, venue = parts
    trading = replace(
        platform.trading, orders=orders, protections=protections, venues={**platform.trading.venues, LIVE: venue}
    )
    settings = platform.settings.model_copy(update={"order_grace_seconds": 0.2})
    desk.desk.platform = replace(platform, trading=trading, settings=settings)


def count_for_sale(desk: ProtectedDesk) -> Decimal:
    """What open orders may still sell: of a list only one can."""
    return max((quantity for _, quantity, _ in desk.open()), default=Decimal(0))


async def test_killed_after_any_step_of_a_replacement_the_next_run_finishes_it(protected_desk: ProtectedDesk) -> None:
    desk, fate, choices = protected_desk, Fate(), random.Random(17)
    make_mortal(desk, fate)
    held = desk.desk.position().quantity
    await desk.protect()
    steps, was_killed = 0, True
    while was_killed:
        stop = "0.91" if steps % 2 == 0 else "0.92"
        await desk.set_limits(stop, "1.2")
        if (fault := choices.choice(FAULTS)) is not None:
            desk.desk.world.simulator.control.arm(fault, choices.choice((LIST, ORDER)), "*")
        fate.left = steps
        was_killed = False
        try:
            await desk.protect()
        except Killed:
            was_killed = True
        fate.left = None
        desk.desk.world.simulator.control.clear_faults()
        assert count_for_sale(desk) <= held, f"after {steps} steps"
        await desk.protect()
        [(_, quantity, _), (_, target_quantity, _)] = desk.open()
        assert quantity == target_quantity and 0 <= held - quantity < Decimal("0.01")
        stops = desk.desk.world.query(
            "SELECT stop_price FROM order_intents JOIN orders USING (client_order_id) "
            "WHERE state = 'open' AND stop_price IS NOT NULL"
        )
        assert stops == [(desk.at(stop),)], f"after {steps} steps"
        assert not await desk.is_due()
        steps += 1
    assert steps > 9
    assert desk.sold() == 0
    assert desk.desk.world.query("SELECT title FROM notifications WHERE title LIKE '%rotect%'") == []


async def test_killed_after_any_step_of_a_sale_it_is_made_once_and_the_rest_is_protected(
    protected_desk: ProtectedDesk,
) -> None:
    desk, fate = protected_desk, Fate()
    make_mortal(desk, fate)
    held = desk.desk.position().quantity
    steps, was_killed = 0, True
    while was_killed:
        await desk.protect()
        before = desk.sold()
        review = await desk.desk.close(f"run-{steps}", share=10)
        assert review.ticket is not None
        fate.left, was_killed = steps, False
        try:
            await desk.desk.place(review)
        except Killed:
            was_killed = True
        fate.left = None
        if steps % 2:  # the chain comes first
            await desk.desk.update()
            await desk.protect()
        assert desk.sold() + count_for_sale(desk) <= held
        await desk.desk.place(review)
        await desk.desk.update()
        assert desk.sold() - before == review.ticket.quantity, f"after {steps} steps"
        assert desk.desk.position().quantity == held - desk.sold()
        steps += 1
    assert steps > 8
    await desk.protect()
    [(_, left, _), _] = desk.open()
    assert 0 <= desk.desk.position().quantity - left < Decimal("0.01")
    assert len(desk.desk.told("💼 Sold SOL/USDT")) == steps
    assert desk.desk.told("on the exchange") == []


@pytest.mark.parametrize("steps", [1, 4])
async def test_killed_before_a_crash_of_the_price_no_more_is_sold_than_is_held(
    protected_desk: ProtectedDesk, steps: int
) -> None:
    """Killed with intents stored, or with one of two replies stored; then the stop loss is hit."""
    desk, fate = protected_desk, Fate(steps)
    make_mortal(desk, fate)
    held = desk.desk.position().quantity
    with pytest.raises(Killed):
        await desk.protect()
    fate.left = None
    desk.jump("0.895")
    await desk.desk.update()
    await desk.protect()
    was_sent = steps == 4
    assert (desk.sold() > 0) is was_sent and desk.sold() <= held
    assert (desk.desk.position() is None) is was_sent
    assert len(desk.desk.told("Stop loss sold")) == int(was_sent)
    assert desk.open() == []
