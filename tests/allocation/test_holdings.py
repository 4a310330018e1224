"""What a plan believes of holdings and prices."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lib.adapters.database.account_states import DatabaseStates
from lib.allocation.holdings import Portfolio, build_portfolio
from lib.errors import DataError, ExchangeUnavailable, RetryableError
from lib.portfolio.fills import Balance
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import AccountState, AssetPrice, Holding
from tests.allocation.samples import quotes, state
from tests.portfolio.conftest import Desk, desk
from tests.portfolio.samples import ACCOUNT, START

__all__ = ["desk"]
HALF_AN_HOUR = timedelta(minutes=30)


def build(seen: AccountState, answer: Quotes) -> Portfolio:
    return build_portfolio(seen, answer, ("BTC", "SOL"), HALF_AN_HOUR)


def test_holdings_and_what_may_be_wanted_are_valued_by_one_answer() -> None:
    account = build(state("1000", SOL="2 @ 90"), quotes(SOL="100", BTC="60000"))
    assert account.equity == 1200
    assert {name: (one.quantity, one.price) for name, one in account.assets.items()} == {
        "BTC": (Decimal(0), Decimal(60_000)),
        "SOL": (Decimal(2), Decimal(100)),
    }


@pytest.mark.parametrize("minutes", ["31", "-2"])
def test_balances_of_another_time_are_refused(minutes: str) -> None:
    with pytest.raises(RetryableError, match="update_positions reads them"):
        build(state("1000", minutes), quotes(SOL="100"))


def test_without_any_price_nothing_is_planned() -> None:
    with pytest.raises(ExchangeUnavailable):
        build(state("1000"), Quotes({}, START, ExchangeUnavailable("no answer")))


def test_one_that_lost_its_price_counts_at_its_last_and_is_not_traded() -> None:
    account = build(state("1000", SOL="2 @ 90"), quotes(BTC="60000"))
    assert account.equity == 1180
    assert not account.assets["SOL"].is_quoted


def test_an_absurd_price_is_not_believed() -> None:
    account = build(state("1000", SOL="2 @ 90"), quotes(SOL="901", BTC="60000"))
    assert account.equity == 1180
    assert not account.assets["SOL"].is_quoted


def test_one_of_the_universe_that_is_held_and_never_had_a_price_stops_the_plan() -> None:
    with pytest.raises(DataError, match="SOL is held by demo and has no price"):
        build(state("1000", SOL="2"), quotes(BTC="60000"))


def test_a_price_older_than_a_day_is_none() -> None:
    old = AssetPrice(Decimal(90), "SOL/USDT", START - timedelta(days=1, minutes=1))
    seen = state("1000")
    held = AccountState(
        ACCOUNT,
        "USDT",
        START,
        seen.cash_free,
        Decimal(0),
        {},
        holdings=(Holding(Balance("SOL", Decimal(2), Decimal(0)), old),),
        seen_at=START,
    )
    with pytest.raises(DataError, match="SOL"):
        build(held, quotes(BTC="60000"))


def test_another_asset_without_a_price_is_named_and_counts_nowhere() -> None:
    account = build(state("1000", XYZ="5"), quotes(BTC="60000", SOL="100"))
    assert (account.equity, account.unpriced) == (Decimal(1000), ("XYZ",))
    assert "XYZ" not in account.assets


async def test_what_is_stored_of_an_account_tells_each_holding_with_its_price(desk: Desk) -> None:
    desk.exchange.trade("buy", "2", "100", "0.2 USDT")
    desk.exchange.deposit("XYZ", Decimal(5))
    desk.exchange.price(SOL="90")
    await desk.update()
    seen = DatabaseStates(desk.engine).load_state(ACCOUNT)
    assert seen is not None
    assert seen.seen_at == desk.clock.now()
    assert seen.holdings == (
        Holding(Balance("SOL", Decimal(2), Decimal(0)), AssetPrice(Decimal(90), "SOL/USDT", desk.clock.now())),
        Holding(Balance("XYZ", Decimal(5), Decimal(0)), None),
    )
    account = build_portfolio(seen, Quotes({"SOL/USDT": Decimal(95)}, desk.clock.now()), ("BTC", "SOL"), HALF_AN_HOUR)
    assert account.equity == Decimal("9799.8") + 190
