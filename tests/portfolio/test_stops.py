"""When people are told about a position, and what they read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lib.errors import AllItemsFailed, DatabaseUnavailable
from lib.portfolio.limits import set_stop_loss
from lib.results import Status
from tests.portfolio.conftest import Desk
from tests.portfolio.samples import ACCOUNT


@pytest.fixture
async def stopped(desk: Desk) -> Desk:
    """2 SOL bought at 100, a stop at 90 and a target at 120."""
    desk.exchange.trade("buy", "2", "100", "0.2 USDT")
    await desk.update()
    set_limits(desk, stop="90", target="120")
    return desk


def set_limits(desk: Desk, stop: str | None = None, target: str | None = None) -> None:
    set_stop_loss(
        account=ACCOUNT,
        symbol="SOL/USDT",
        store=desk.store,
        clock=desk.clock,
        stop_loss=Decimal(stop) if stop else None,
        take_profit=Decimal(target) if target else None,
    )


async def test_a_price_above_the_stop_tells_nobody(stopped: Desk) -> None:
    stopped.exchange.price(SOL="90.01")
    result = await stopped.run(minutes=5)
    assert stopped.messages() == []
    assert result.status is Status.OK
    assert result.items[0].detail == "90.01 is 0.0 % above the stop loss 90"
    assert result.counts["watched"] == 1


@pytest.mark.parametrize("price", ["90", "89.99", "50"])
async def test_a_price_at_or_below_the_stop_is_told_at_once(stopped: Desk, price: str) -> None:
    stopped.exchange.price(SOL=price)
    result = await stopped.run(minutes=5)
    (message,) = stopped.messages()
    assert (message.type, message.severity) == ("stop_loss", "urgent")
    assert (result.counts["triggered"], result.counts["alerts"]) == (1, 1)


async def test_the_message_says_what_happened_what_it_costs_and_what_to_do(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=5)
    (message,) = stopped.messages()
    assert message.title == "🛑 Stop loss triggered: SOL/USDT (demo)"
    assert message.body.splitlines() == [
        "SOL/USDT is at 85, at or below its stop loss of 90.",
        "Quantity 2 SOL, average cost 100.1, stop loss 90, take profit 120, loss 30.20 USDT (-15.08 %).",
        "What to do: run the flow close-position with account=demo, symbol=SOL/USDT, execute=true, or sell by hand on "
        "the exchange (the next run sees it and closes the position); or set a lower stop loss or remove it with the "
        "flow set-stop-loss.",
    ]


async def test_it_is_told_again_every_thirty_minutes_while_it_stays_below(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    told_at = []
    for run in range(1, 15):
        before = len(stopped.messages())
        await stopped.run(minutes=5)
        if len(stopped.messages()) > before:
            told_at.append(5 * run)
    assert told_at == [5, 35, 65]
    assert stopped.messages()[1].title == "🛑 Stop loss still triggered: SOL/USDT (demo)"
    assert "It was triggered first at 2024-10-04 00:05 UTC" in stopped.messages()[1].body


async def test_runs_that_come_some_seconds_early_do_not_shift_the_repetition(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=5, seconds=8)
    await stopped.run(minutes=29, seconds=52)
    assert len(stopped.messages()) == 2


async def test_a_price_that_flaps_around_the_stop_tells_no_more_often(stopped: Desk) -> None:
    for price in ("89", "91", "89", "91", "89"):
        stopped.exchange.price(SOL=price)
        await stopped.run(minutes=5)
    assert len(stopped.messages()) == 1
    stopped.exchange.price(SOL="91")
    await stopped.run(minutes=60)
    assert len(stopped.messages()) == 1
    stopped.exchange.price(SOL="89")
    await stopped.run(minutes=5)
    assert len(stopped.messages()) == 2


async def find_told(stopped: Desk, prices: str) -> list[int]:
    """The checks, of one each five minutes at these prices, that told people."""
    told = []
    for number, price in enumerate(prices.split()):
        stopped.exchange.price(SOL=price)
        if (await stopped.run(minutes=5)).counts["alerts"]:
            told.append(number)
    return told


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        pytest.param("89 95 89 89 89 89", [0, 2], id="far above the stop for one check"),
        pytest.param("89 91.8 89", [0, 2], id="two percent above the stop"),
        pytest.param("89 90.5 90.5 89 89", [0, 3], id="above the stop for two checks in a row"),
        pytest.param("89 90.5 89 90.5 90.5 89", [0, 5], id="flapping, then above the stop for two checks"),
        pytest.param("89 91.79 89 91.79 89 89 89", [0, 6], id="hardly above the stop for a check: as if it had stayed"),
    ],
)
async def test_a_crossing_after_a_real_recovery_is_told_at_once(stopped: Desk, prices: str, told: list[int]) -> None:
    assert await find_told(stopped, prices) == told


async def test_a_new_crossing_is_told_as_a_new_trigger_with_its_own_time(stopped: Desk) -> None:
    await find_told(stopped, "89 95 89 89 89 89 89 89 89")
    assert [message.title.split(":")[0] for message in stopped.messages()] == [
        "🛑 Stop loss triggered",
        "🛑 Stop loss triggered",
        "🛑 Stop loss still triggered",
    ]
    assert "It was triggered first at 2024-10-04 00:15 UTC" in stopped.messages()[2].body


@pytest.mark.parametrize(("prices", "told"), [("89 91", 2 * 2), ("89 95", 2 * 6)])
async def test_a_price_that_flaps_for_two_hours_tells_at_most_every_ten_minutes(
    stopped: Desk, prices: str, told: int
) -> None:
    assert len(await find_told(stopped, " ".join([prices] * 12))) == told


async def test_a_price_that_falls_to_the_stop_weeks_after_it_recovered_is_told_as_a_new_trigger(stopped: Desk) -> None:
    for price in ("85", "95"):
        stopped.exchange.price(SOL=price)
        await stopped.run(minutes=5)
    stopped.exchange.price(SOL="85")
    await stopped.run(days=21)
    await stopped.run(minutes=30)
    _, second, third = stopped.messages()
    assert second.title == "🛑 Stop loss triggered: SOL/USDT (demo)"
    assert "first" not in second.body
    assert "It was triggered first at 2024-10-25 00:10 UTC" in third.body


async def test_another_stop_begins_anew(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=5)
    set_limits(stopped, stop="80")
    await stopped.run(minutes=5)
    assert len(stopped.messages()) == 1
    stopped.exchange.price(SOL="79")
    await stopped.run(minutes=5)
    assert [message.title for message in stopped.messages()] == ["🛑 Stop loss triggered: SOL/USDT (demo)"] * 2


async def test_a_position_sold_by_hand_is_told_no_more(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=5)
    stopped.exchange.trade("sell", "2", "85")
    result = await stopped.run(minutes=31)
    assert result.status is Status.SKIPPED
    assert len(stopped.messages()) == 1


async def test_the_next_position_of_the_symbol_starts_without_limits_and_alarms(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=5)
    stopped.exchange.trade("sell", "2", "85")
    stopped.exchange.trade("buy", "1", "85")
    result = await stopped.run(minutes=5)
    assert result.items[0].detail == "no stop set"
    set_limits(stopped, stop="84")
    stopped.exchange.price(SOL="83")
    await stopped.run(minutes=5)
    assert len(stopped.messages()) == 2


@pytest.fixture(params=["notifications", "position_alarms"])
def deadly_table(request: pytest.FixtureRequest, stopped: Desk) -> str:
    """Whoever writes into this table loses its connection at once, as a killed process does."""
    table = str(request.param)
    stopped.query(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    stopped.query(f"CREATE TRIGGER deadly AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION die()")
    return table


async def test_a_run_killed_between_message_and_alarm_swallows_nothing_of_the_next_crossing(
    stopped: Desk, deadly_table: str
) -> None:
    stopped.exchange.price(SOL="85")
    with pytest.raises(DatabaseUnavailable):
        await stopped.run(minutes=5)
    stopped.query(f"DROP TRIGGER deadly ON {deadly_table}")
    stopped.exchange.price(SOL="95")
    await stopped.run(minutes=5)
    assert stopped.messages() == []

    stopped.exchange.price(SOL="85")
    result = await stopped.run(minutes=5)

    (message,) = stopped.messages()
    assert message.title == "🛑 Stop loss triggered: SOL/USDT (demo)"
    assert message.created_at == stopped.clock.now()
    assert result.counts["alerts"] == 1


async def test_a_run_killed_between_message_and_alarm_tells_once_when_it_is_tried_again(
    stopped: Desk, deadly_table: str
) -> None:
    stopped.exchange.price(SOL="85")
    with pytest.raises(DatabaseUnavailable):
        await stopped.run(minutes=5)
    stopped.query(f"DROP TRIGGER deadly ON {deadly_table}")

    for _ in range(6):
        await stopped.run(minutes=4)

    assert len(stopped.messages()) == 1


async def test_two_checks_at_once_tell_once(stopped: Desk) -> None:
    stopped.exchange.price(SOL="85")
    await stopped.update()
    loaded = stopped.store.load_held(ACCOUNT)

    class SlowStore(type(stopped.store)):  # type: ignore[misc]  # the real store, with what was loaded a moment ago
        def load_held(self, account: str) -> object:
            return loaded

    stopped.check()
    stopped.store = SlowStore(stopped.engine)
    assert stopped.check().counts["alerts"] == 0
    assert len(stopped.messages()) == 1


async def test_a_take_profit_is_told_once_as_a_warning_and_again_after_the_price_left_it(stopped: Desk) -> None:
    stopped.exchange.price(SOL="120")
    for _ in range(8):
        await stopped.run(minutes=5)
    (message,) = stopped.messages()
    assert (message.type, message.severity) == ("stop_loss", "warning")
    assert message.title == "🎯 Take profit reached: SOL/USDT (demo)"
    assert "profit 39.80 USDT (+19.88 %)" in message.body
    stopped.exchange.price(SOL="119")
    await stopped.run(minutes=5)
    stopped.exchange.price(SOL="121")
    result = await stopped.run(minutes=5)
    assert result.counts["take profits"] == 1
    assert len(stopped.messages()) == 2


async def test_a_take_profit_that_flaps_is_told_at_most_every_thirty_minutes(stopped: Desk) -> None:
    for price in ("121", "119", "121", "119", "121"):
        stopped.exchange.price(SOL=price)
        await stopped.run(minutes=5)
    assert len(stopped.messages()) == 1


async def test_a_price_older_than_two_minutes_fails_and_is_told(stopped: Desk) -> None:
    stopped.clock.pass_time(seconds=120)
    assert stopped.check().status is Status.OK
    stopped.clock.pass_time(seconds=1)
    with pytest.raises(AllItemsFailed, match="was last priced 121 s ago, at 100") as failure:
        stopped.check()
    assert not failure.value.retryable
    (message,) = stopped.messages()
    assert (message.type, message.severity) == ("operations", "urgent")
    assert message.title == "⚠️ No fresh price: SOL/USDT (demo)"
    assert "so nothing watches its stop loss" in message.body


async def test_a_stale_price_is_told_at_most_every_thirty_minutes(stopped: Desk) -> None:
    stopped.exchange.refusing["prices"] = DatabaseUnavailable("down")
    told_at = []
    for run in range(1, 15):
        before = len(stopped.messages())
        stopped.clock.pass_time(minutes=5)
        with pytest.raises(AllItemsFailed):
            stopped.check()
        if len(stopped.messages()) > before:
            told_at.append(5 * run)
    assert told_at == [5, 35, 65]


async def test_a_stale_price_never_hides_a_trigger_that_follows(stopped: Desk) -> None:
    stopped.clock.pass_time(minutes=5)
    with pytest.raises(AllItemsFailed):
        stopped.check()
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=5)
    assert [message.type for message in stopped.messages()] == ["operations", "stop_loss"]


async def test_a_position_that_was_never_priced_fails_and_is_told(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.prices.clear()
    await desk.update()
    with pytest.raises(AllItemsFailed, match="was never priced"):
        desk.check()
    (message,) = desk.messages()
    assert "SOL/USDT was never priced, so nobody knows what it is worth." in message.body


async def test_one_stale_position_leaves_the_others_checked(stopped: Desk) -> None:
    stopped.exchange.trade("buy", "10", "0.5", symbol="ADA/USDT")
    stopped.exchange.price(SOL="85")
    await stopped.run(minutes=5)
    del stopped.exchange.prices["ADA/USDT"]
    result = await stopped.run(minutes=5)
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.failed] == ["demo ADA/USDT"]
    assert result.counts["triggered"] == 1


async def test_positions_without_a_stop_are_named(desk: Desk) -> None:
    desk.exchange.trade("buy", "1", "100")
    desk.exchange.trade("buy", "10", "0.5", symbol="ADA/USDT")
    await desk.update()
    result = desk.check()
    assert [item.detail for item in result.items] == ["no stop set", "no stop set"]
    assert (result.counts["without stop"], result.counts["watched"]) == (2, 0)


async def test_a_price_from_the_future_is_not_believed(stopped: Desk) -> None:
    stopped.clock.pass_time(minutes=-10)
    with pytest.raises(AllItemsFailed, match="600 s in the future"):
        stopped.check()
