"""A clock that was ahead for a while and was then set right: no price, trigger or message is lost to it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lib.errors import AllItemsFailed, BadAnswer
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.limits import set_stop_loss
from lib.portfolio.pricing import price_positions
from lib.portfolio.quotes import Quotes
from lib.results import Status
from tests.portfolio.conftest import Desk
from tests.portfolio.samples import ACCOUNT, at

REALERT = timedelta(minutes=30)


@pytest.fixture
async def stopped(desk: Desk) -> Desk:
    """2 SOL bought at 100 and a stop at 90."""
    desk.exchange.trade("buy", "2", "100")
    await desk.update()
    set_stop_loss(
        account=ACCOUNT, symbol="SOL/USDT", store=desk.store, clock=desk.clock, stop_loss=Decimal(90), take_profit=None
    )
    return desk


@pytest.mark.parametrize("ahead", [3, 6, 7, 600])
async def test_a_price_stored_by_a_clock_that_was_ahead_gives_way_to_the_next_one(stopped: Desk, ahead: float) -> None:
    await stopped.run(minutes=ahead)
    stopped.exchange.price(SOL="80")
    result = await stopped.run(minutes=5 - ahead)
    assert result.counts["triggered"] == 1
    assert (stopped.held().valuation or pytest.fail("not priced")).price_at == stopped.clock.now()


async def test_a_price_far_from_one_of_the_distant_future_is_believed(stopped: Desk) -> None:
    await stopped.run(hours=5)
    stopped.exchange.price(SOL="9")
    result = await stopped.run(hours=-4)
    assert result.counts["triggered"] == 1


async def test_a_price_of_the_future_is_stale_however_small_the_step(stopped: Desk) -> None:
    await stopped.run(minutes=1)
    stopped.exchange.refusing["prices"] = BadAnswer("none")
    stopped.clock.pass_time(seconds=-4)
    assert stopped.check().status is Status.OK
    stopped.clock.pass_time(seconds=-2)
    with pytest.raises(AllItemsFailed, match="6 s in the future"):
        stopped.check()


async def test_a_price_that_another_run_stored_meanwhile_stands(stopped: Desk) -> None:
    await stopped.run(minutes=5)
    quotes = Quotes({"SOL/USDT": Decimal(80)}, at(4))
    valuations, (item,) = price_positions([stopped.held()], quotes, {}, at(5))
    assert (item.status, item.detail) == (Status.SKIPPED, "another run has stored a newer price")
    assert valuations["SOL/USDT"].price == 100


async def test_a_message_told_by_a_clock_that_was_ahead_is_told_again_at_once(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=7)
    await stopped.run(minutes=-2)
    assert len(stopped.messages()) == 2
    assert stopped.held().alarms[AlarmKind.STOP_LOSS] == Alarm(at(5), at(5), 3)  # armed, told, told
    await stopped.run(minutes=5)
    assert len(stopped.messages()) == 2


def test_a_clock_set_back_by_a_moment_repeats_nothing() -> None:
    assert not Alarm(at(5), at(5), 1).is_due(AlarmKind.STOP_LOSS, at(4.9), REALERT)
