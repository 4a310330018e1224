"""The tasks of the portfolio on accounts that are traded by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from lib.adapters.database.notifications import NotificationStore
from lib.errors import AllItemsFailed
from lib.notifications.messages import Message
from lib.portfolio.fills import Balance
from lib.results import Status
from lib.tasks import portfolio
from tests.portfolio.conftest import Desk
from tests.portfolio.desk_platform import open_by_hand
from tests.portfolio.hand_exchange import HandExchange
from tests.portfolio.samples import ACCOUNT


class SlowExchange(HandExchange):
    """Takes its time to answer."""

    seconds = 0.0

    async def fetch_balances(self) -> Mapping[str, Balance]:
        self.clock.pass_time(seconds=self.seconds)
        return await super().fetch_balances()


class BrokenOutbox(NotificationStore):
    """Records nothing."""

    def record(self, message: Message) -> bool:
        raise RuntimeError(f"cannot record {message.title}")


async def hold_in_two_accounts(desk: Desk) -> None:
    """2 SOL with a stop loss of 92 in the desk's account, and in "gone"."""
    gone = HandExchange(desk.clock, USDT="1000")
    gone.account = "gone"
    for exchange in (gone, desk.exchange):
        exchange.trade("buy", "2", "100")
    async with open_by_hand(desk, {ACCOUNT: desk.exchange, "gone": gone}) as platform:
        await portfolio.update_positions(platform)


async def test_trouble_with_accounts_that_nobody_watches_costs_no_stop_loss_check(desk: Desk) -> None:
    await hold_in_two_accounts(desk)
    desk.exchange.price(SOL="50")
    async with open_by_hand(desk, {ACCOUNT: desk.exchange}) as platform:
        await portfolio.update_positions(platform)
        broken = replace(platform, notifications=BrokenOutbox(desk.engine))
        result = await portfolio.check_stop_loss(broken)
    assert (result.status, result.counts["triggered"]) == (Status.PARTIAL, 1)
    [item] = result.failed
    assert (item.name, item.detail) == (
        "unwatched accounts",
        "unexpected RuntimeError: cannot record ⚠️ Not watched: gone (1 open position)",
    )
    assert [message.title for message in desk.messages()] == ["🛑 Stop loss triggered: SOL/USDT (demo)"]


async def test_an_account_left_behind_is_told_though_no_check_could_be_made(desk: Desk) -> None:
    await hold_in_two_accounts(desk)
    desk.clock.pass_time(minutes=5)
    async with open_by_hand(desk, {ACCOUNT: desk.exchange}) as platform:
        with pytest.raises(AllItemsFailed, match="demo SOL/USDT"):
            await portfolio.check_stop_loss(platform)
    titles = [message.title for message in desk.messages()]
    assert titles == ["⚠️ No fresh price: SOL/USDT (demo)", "⚠️ Not watched: gone (1 open position)"]


async def test_a_slow_account_makes_no_price_of_another_one_old(desk: Desk) -> None:
    slow = SlowExchange(desk.clock, USDT="10")
    desk.exchange.trade("buy", "2", "100")
    async with open_by_hand(desk, {ACCOUNT: desk.exchange, "slow": slow}) as platform:
        await portfolio.update_positions(platform)
        desk.clock.pass_time(minutes=5)
        desk.exchange.price(SOL="50")
        slow.seconds = 125
        await portfolio.update_positions(platform)
        result = await portfolio.check_stop_loss(platform)
    assert (result.counts["triggered"], result.counts["stale"]) == (1, 0)
    assert [message.title for message in desk.messages()] == ["🛑 Stop loss triggered: SOL/USDT (demo)"]


async def test_a_position_that_cannot_be_given_its_stop_loss_is_told_once_a_day(desk: Desk) -> None:
    desk.exchange.price(DOGE="0.01")  # 8 percent below it is less than the price step of 0.01
    desk.exchange.trade("buy", "1000", "0.01", symbol="DOGE/USDT")
    async with open_by_hand(desk, {ACCOUNT: desk.exchange}) as platform:
        for minutes in (0, 5, 24 * 60):
            desk.clock.pass_time(minutes=minutes)
            result = await portfolio.update_positions(platform)
            assert [item.name for item in result.failed] == ["demo DOGE/USDT"]
    first, second = desk.messages()
    assert (first.severity, first.title) == ("warning", "🛑 No stop loss: demo DOGE/USDT")
    assert "the price is too small for such a stop loss" in first.body
    assert first.title == second.title
