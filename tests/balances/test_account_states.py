"""What is stored of an account, as sizing and risk read it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lib.adapters.database.account_states import DatabaseStates
from lib.errors import OperatorError
from lib.portfolio.state import AccountState
from tests.portfolio.conftest import Desk, desk
from tests.portfolio.samples import ACCOUNT, START

__all__ = ["desk"]


def load_state(desk: Desk) -> AccountState:
    """Return the account's state, which is known."""
    state = DatabaseStates(desk.engine).load_state(ACCOUNT)
    assert state is not None
    return state


def store_price(desk: Desk, asset: str, price: str, age: timedelta = timedelta()) -> None:
    desk.query(
        "INSERT INTO asset_prices VALUES (:asset, 'USDT', :price, 'test', :at)",
        asset=asset,
        price=Decimal(price),
        at=desk.clock.now() - age,
    )


async def test_cash_and_positions_are_those_of_the_last_import(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100", "0.2 USDT")
    desk.exchange.price(SOL="90")
    await desk.update()
    state = load_state(desk)
    assert (state.cash_free, state.cash_locked) == (Decimal("9799.8"), Decimal(0))
    assert state.market_values == {"SOL/USDT": 180}
    assert state.equity == Decimal("9979.8")
    assert state.unrealized_pnl == Decimal("-20.2")
    assert (state.other_value, state.unpriced, state.at) == (Decimal(0), (), desk.clock.now())


async def test_a_deposited_asset_counts_at_its_last_price_and_is_named_without_one(desk: Desk) -> None:
    desk.exchange.deposit("BTC", Decimal("0.5"))
    desk.exchange.deposit("XYZ", Decimal(1000))
    await desk.update()
    store_price(desk, "BTC", "60000")
    state = load_state(desk)
    assert (state.other_value, state.unpriced) == (Decimal(30_000), ("XYZ",))
    assert state.equity == 40_000


async def test_what_is_held_beyond_the_position_is_another_asset(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100")
    desk.exchange.deposit("SOL", Decimal(3))
    await desk.update()
    store_price(desk, "SOL", "101")
    state = load_state(desk)
    assert (state.market_values, state.other_values) == ({"SOL/USDT": Decimal(200)}, {"SOL": Decimal(303)})
    assert (state.total_values, state.other_value) == ({"SOL/USDT": Decimal(503)}, Decimal(303))


async def test_what_a_position_has_more_than_the_account_is_worth_nothing(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100")
    desk.exchange.price(SOL="110")
    desk.exchange.deposit("SOL", Decimal("-0.5"))
    await desk.update()
    state = load_state(desk)
    assert state.market_values == {"SOL/USDT": 165}
    assert state.unrealized_pnl == 15  # of 20, for three quarters of the position


async def test_an_old_price_of_an_asset_is_none_and_a_fresh_candle_takes_its_place(desk: Desk) -> None:
    desk.exchange.deposit("DOGE", Decimal(1000))
    desk.exchange.deposit("XYZ", Decimal(1))
    await desk.update()
    store_price(desk, "DOGE", "0.2", timedelta(days=2))
    store_price(desk, "XYZ", "7", timedelta(days=2))
    desk.query(
        "INSERT INTO candles (symbol, timeframe, opened_at, open, high, low, close, volume)"
        " VALUES ('DOGE/USDT', '1h', :at, 0.1, 0.2, 0.1, 0.125, 1)",
        at=desk.clock.now() - timedelta(hours=3),
    )
    state = load_state(desk)
    assert (state.other_value, state.unpriced) == (Decimal(125), ("XYZ",))
    assert state.at == START - timedelta(hours=2)


async def test_old_prices_make_a_state_old_only_where_they_matter(desk: Desk) -> None:
    for number in range(3):
        desk.exchange.deposit(f"GONE{number}", Decimal(100))
    await desk.update()
    for number in range(3):  # 40 each, of about 10,000: two are below 1 %, three above
        store_price(desk, f"GONE{number}", "0.4", timedelta(hours=20 - number))
    assert load_state(desk).at == START - timedelta(hours=18)
    desk.exchange.deposit("GONE2", Decimal(-90))
    await desk.update()
    state = load_state(desk)
    assert (state.at, state.other_value) == (desk.clock.now(), Decimal(84))


async def test_a_position_keeps_its_last_price_and_the_state_tells_its_age(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100")
    await desk.update()
    desk.clock.pass_time(days=3)
    desk.exchange.refusing["prices"] = OperatorError("gone")
    await desk.update()
    state = load_state(desk)
    assert (state.market_values, state.at) == ({"SOL/USDT": Decimal(200)}, START)


async def test_a_position_that_was_never_priced_is_named_by_its_symbol(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100")
    desk.exchange.prices.clear()
    await desk.update()
    state = load_state(desk)
    assert (state.market_values, state.unpriced) == ({}, ("SOL/USDT",))


async def test_an_account_that_holds_nothing_is_worth_nothing(desk: Desk) -> None:
    desk.exchange.totals.clear()
    await desk.update()
    state = load_state(desk)
    assert (state.equity, state.at, state.unpriced) == (Decimal(0), desk.clock.now(), ())


async def test_an_account_that_was_never_imported_has_no_state_yet(desk: Desk) -> None:
    assert DatabaseStates(desk.engine).load_state(ACCOUNT) is None
    with pytest.raises(OperatorError, match="not registered"):
        DatabaseStates(desk.engine).load_state("other")
