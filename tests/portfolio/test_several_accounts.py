"""Several accounts: what is wrong or slow with one costs no other its stop loss check."""

from __future__ import annotations

from collections.abc import Mapping

from lib.portfolio.fills import Balance
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
