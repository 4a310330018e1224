"""Setting stop losses and take profits by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from lib.errors import OperatorError
from lib.portfolio.limits import set_missing_stops, set_stop_loss
from lib.results import Status, TaskResult
from tests.portfolio.conftest import Desk
from tests.portfolio.samples import ACCOUNT


@pytest.fixture
async def holding(desk: Desk) -> Desk:
    """1 SOL bought at 100, which is its price."""
    desk.exchange.trade("buy", "1", "100")
    await desk.update()
    return desk


def set_limits(desk: Desk, symbol: str = "SOL/USDT", **limits: Any) -> TaskResult:
    limits = {name: Decimal(value) if isinstance(value, str) else value for name, value in limits.items()}
    return set_stop_loss(account=ACCOUNT, symbol=symbol, store=desk.store, clock=desk.clock, **limits)


async def test_both_limits_are_set_and_shown(holding: Desk) -> None:
    result = set_limits(holding, stop_loss="90", take_profit="130.5")
    assert result.items[0].detail == "stop loss 90 (was none), take profit 130.5 (was none)"
    held = holding.held()
    assert (held.stop_loss, held.take_profit) == (Decimal(90), Decimal("130.5"))
    assert (await holding.update()).positions[0].stop_loss == 90


async def test_what_is_not_given_stays(holding: Desk) -> None:
    set_limits(holding, stop_loss="90", take_profit="130")
    set_limits(holding, take_profit="140")
    assert (holding.held().stop_loss, holding.held().take_profit) == (Decimal(90), Decimal(140))


async def test_a_limit_is_removed_on_demand_only(holding: Desk) -> None:
    set_limits(holding, stop_loss="90", take_profit="130")
    set_limits(holding, remove_stop_loss=True)
    assert (holding.held().stop_loss, holding.held().take_profit) == (None, Decimal(130))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({}, "Nothing to set"),
        ({"stop_loss": "0"}, "stop loss above zero, was 0"),
        ({"stop_loss": "-5"}, "stop loss above zero"),
        ({"stop_loss": "NaN"}, "stop loss above zero, was NaN"),
        ({"stop_loss": "100"}, "below the price 100 of SOL/USDT, was 100: it would be triggered at once"),
        ({"stop_loss": "120"}, "Set a lower one, or sell"),
        ({"take_profit": "100"}, "above the price 100 of SOL/USDT"),
        ({"take_profit": "Infinity"}, "take profit above zero"),
        ({"stop_loss": "90", "remove_stop_loss": True}, "was both"),
        ({"symbol": "ADA/USDT", "stop_loss": "1"}, "no open position in ADA/USDT. Open are SOL/USDT"),
    ],
    ids=str,
)
async def test_a_value_that_cannot_be_is_refused_with_the_reason(
    holding: Desk, limits: dict[str, Any], reason: str
) -> None:
    with pytest.raises(OperatorError, match=reason):
        set_limits(holding, **limits)
    assert (holding.held().stop_loss, holding.held().take_profit) == (None, None)


async def test_a_stop_above_a_reached_take_profit_is_refused(holding: Desk) -> None:
    set_limits(holding, take_profit="110")
    holding.exchange.price(SOL="150")
    await holding.update()
    with pytest.raises(OperatorError, match="stop loss 120 below the take profit 110"):
        set_limits(holding, stop_loss="120")


async def test_a_position_that_was_never_priced_gets_no_limits(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.prices.clear()
    await desk.update()
    with pytest.raises(OperatorError, match="never priced"):
        set_limits(desk, stop_loss="90")


async def test_a_position_closed_in_the_meantime_gets_no_limits(holding: Desk) -> None:
    loaded = holding.held()
    holding.exchange.trade("sell", "1", "100")
    await holding.update()
    assert not holding.store.save_limits(loaded, Decimal(90), None)


async def test_limits_changed_in_the_meantime_are_not_overwritten(holding: Desk) -> None:
    loaded = holding.held()
    set_limits(holding, stop_loss="97", take_profit="130")
    assert not holding.store.save_limits(loaded, Decimal(90), None)
    only_target = holding.held()
    set_limits(holding, remove_stop_loss=True)
    assert not holding.store.save_limits(only_target, only_target.stop_loss, Decimal(140))
    assert (holding.held().stop_loss, holding.held().take_profit) == (None, Decimal(130))
    set_limits(holding, stop_loss="96")


async def test_missing_stops_go_below_the_average_cost_or_the_price_whichever_is_lower(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("buy", "1", "600", symbol="BNB/USDT")
    desk.exchange.trade("buy", "10", "0.517", symbol="ADA/USDT")
    desk.exchange.price(SOL="90.55", BNB="700")
    await desk.update()
    set_limits(desk, "BNB/USDT", stop_loss="650")
    result = set_missing_stops(account=ACCOUNT, percent_below=Decimal(10), store=desk.store, market=desk.market)
    assert [item.status for item in result] == [Status.OK, Status.OK]
    stops = {held.symbol: held.stop_loss for held in desk.store.load_held(ACCOUNT)}
    assert stops == {
        "SOL/USDT": Decimal("81.49"),  # 90.55 - 10 % = 81.495, cut to the step of 0.01
        "BNB/USDT": Decimal(650),
        "ADA/USDT": Decimal("0.45"),  # the price 0.5 is below the cost
    }
    again = set_missing_stops(account=ACCOUNT, percent_below=Decimal(10), store=desk.store, market=desk.market)
    assert again == ()


@pytest.mark.parametrize("percent", ["0", "100", "-1", "NaN"])
async def test_a_percentage_that_cannot_be_is_refused(holding: Desk, percent: str) -> None:
    with pytest.raises(OperatorError, match="between 0 and 100"):
        set_missing_stops(
            account=ACCOUNT,
            percent_below=Decimal(percent),
            store=holding.store,
            market=holding.market,
        )
