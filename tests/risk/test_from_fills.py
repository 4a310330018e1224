"""From fills on the exchange to the message: the state is the one that imports have stored."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lib.adapters.database.account_states import DatabaseStates
from lib.adapters.database.equity import DatabaseEquity
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.risk import DatabaseRisk
from lib.results import Status
from lib.risk.analysis import analyze_risk
from lib.risk.options import RiskOptions
from lib.risk.report import RiskResult
from tests.portfolio.conftest import Desk
from tests.portfolio.conftest import desk as trading_desk
from tests.portfolio.samples import ACCOUNT

__all__ = ["trading_desk"]  # the portfolio's fixture, under a name of its own


async def run(desk: Desk, options: RiskOptions) -> RiskResult:
    """What the chains do: import, price, and analyze."""
    desk.clock.pass_time(minutes=30)
    await desk.update()
    return analyze_risk(
        account=ACCOUNT,
        state=DatabaseStates(desk.engine).load_state(ACCOUNT),
        history=DatabaseHistory(desk.engine),
        equity=DatabaseEquity(desk.engine),
        store=DatabaseRisk(desk.engine),
        clock=desk.clock,
        options=options,
    )


async def test_buying_too_much_is_told_and_selling_it_is_the_all_clear(trading_desk: Desk) -> None:
    options = RiskOptions(realert=timedelta(days=1))
    trading_desk.exchange.trade("buy", "10", "100")
    assert (await run(trading_desk, options)).items[0].detail == "LOW"
    trading_desk.exchange.trade("buy", "20", "100")
    assert (await run(trading_desk, options)).counts["alerts"] == 1
    assert (await run(trading_desk, options)).counts["alerts"] == 0
    trading_desk.exchange.trade("sell", "15", "100")
    assert (await run(trading_desk, options)).counts["alerts"] == 1
    assert [message.title for message in trading_desk.messages()] == [
        "⚠️ HIGH risk: SOL/USDT 30.00 % of equity is above 20 % (demo)",
        "✅ Risk is no longer HIGH: LOW (demo)",
    ]


async def test_a_fall_of_the_price_is_an_unrealized_loss_of_equity(trading_desk: Desk) -> None:
    trading_desk.exchange.trade("buy", "20", "100")
    await run(trading_desk, RiskOptions())
    trading_desk.exchange.price(SOL="45")
    await run(trading_desk, RiskOptions())
    (message,) = trading_desk.messages()
    assert message.title == "⚠️ HIGH risk: unrealized loss 12.36 % of equity is above 10 % (demo)"  # 1 100 of 8 900
    assert message.severity == "urgent"


@pytest.mark.parametrize(("quantity", "messages"), [("0.01", 2), ("30", 1)])
async def test_a_coin_that_nobody_prices_any_more_delays_the_all_clear_only_where_it_matters(
    trading_desk: Desk, quantity: str, messages: int
) -> None:
    trading_desk.exchange.deposit("GONE", Decimal(quantity))
    trading_desk.exchange.trade("buy", "30", "100")
    trading_desk.query("INSERT INTO asset_prices VALUES ('GONE', 'USDT', 10, 'test', :at)", at=trading_desk.clock.now())
    await run(trading_desk, RiskOptions())
    trading_desk.exchange.trade("sell", "20", "100")
    trading_desk.clock.pass_time(hours=2)
    result = await run(trading_desk, RiskOptions())
    assert "counted at an old price: GONE" in result.items[0].detail
    assert len(trading_desk.messages()) == messages
    assert result.status is (Status.OK if messages == 2 else Status.PARTIAL)
    assert all("Counted at an old price: GONE." in message.body for message in trading_desk.messages()[1:])


async def test_a_price_that_nobody_renews_is_no_all_clear(trading_desk: Desk) -> None:
    trading_desk.exchange.trade("buy", "30", "100")
    await run(trading_desk, RiskOptions())
    trading_desk.exchange.trade("sell", "20", "100")
    del trading_desk.exchange.prices["SOL/USDT"]
    trading_desk.clock.pass_time(hours=1)
    result = await run(trading_desk, RiskOptions())
    assert len(trading_desk.messages()) == 1
    assert "the alarm of" in result.items[0].detail
