"""Accounts that left the settings with open positions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

import pytest

from lib.adapters.database.notifications import NotificationStore
from lib.errors import SettingsError
from lib.portfolio.unwatched import tell_of_unwatched
from lib.results import Item, Status
from tests.portfolio.conftest import Desk
from tests.portfolio.samples import ACCOUNT


@pytest.fixture
async def holding(desk: Desk) -> Desk:
    """2 SOL and 10 ADA; only SOL has a stop."""
    desk.exchange.trade("buy", "2", "100")
    desk.exchange.trade("buy", "10", "0.5", symbol="ADA/USDT")
    await desk.update()
    desk.query("UPDATE positions SET stop_loss = 90 WHERE symbol = 'SOL/USDT'")
    return desk


def tell(
    desk: Desk,
    watched: Collection[str] = ("another",),
    exchange: str = "hand",
    days: int = 0,
    refused: Mapping[str, Exception] | None = None,
) -> tuple[Item, ...]:
    return tell_of_unwatched(
        watched=watched,
        refused=refused or {},
        exchange=exchange,
        store=desk.store,
        outbox=NotificationStore(desk.engine),
        now=desk.clock.now() + timedelta(days=days),
    )


async def test_it_is_told_urgently_once_a_day_with_its_positions_and_the_remedy(holding: Desk) -> None:
    for days in (0, 0, 1, 1):
        tell(holding, days=days)

    first, second = holding.messages()
    assert (first.type, first.severity) == ("operations", "urgent")
    assert first.title == second.title == "⚠️ Not watched: demo (2 open positions)"
    assert "ADA/USDT: 10 ADA, stop loss none\nSOL/USDT: 2 SOL, stop loss 90\n" in first.body
    assert "nothing watches its stop losses" in first.body
    assert "put it back into the settings (FKS_ACCOUNTS__DEMO__KIND=live" in first.body


async def test_an_account_that_cannot_be_used_is_told_with_the_reason(holding: Desk) -> None:
    (item,) = tell(holding, refused={ACCOUNT: SettingsError("Account demo has no keys. Set them.")})
    (told,) = holding.messages()
    assert (told.severity, told.title) == ("urgent", "⚠️ Not watched: demo (2 open positions)")
    assert "The account demo cannot be used, and held" in told.body
    assert told.body.endswith("watch these positions on the exchange. Account demo has no keys. Set them.")
    assert item.detail.startswith("holds ADA/USDT, SOL/USDT and cannot be used: nothing watches its stops. Account")


async def test_its_item_of_the_report_fails(holding: Desk) -> None:
    (item,) = tell(holding)
    assert (item.name, item.status) == (ACCOUNT, Status.FAILED)
    assert item.detail == "holds ADA/USDT, SOL/USDT and is not in the settings: nothing watches its stops"


async def test_a_watched_account_or_one_without_open_positions_is_nothing_to_tell(holding: Desk) -> None:
    assert tell(holding, watched=[ACCOUNT]) == ()
    holding.exchange.trade("sell", "2", "100")
    holding.exchange.trade("sell", "10", "0.5", symbol="ADA/USDT")
    await holding.update()
    assert tell(holding) == ()
    assert holding.messages() == []


@pytest.mark.parametrize(
    ("kind", "its_exchange", "told"),
    [
        ("live", "kraken", 1),
        ("live", "simulator", 0),
        ("paper", "kraken", 0),
        ("paper", "hand", 1),
    ],
)
async def test_what_was_left_on_another_exchange_counts_when_it_is_money(
    holding: Desk, kind: str, its_exchange: str, told: int
) -> None:
    holding.query("UPDATE accounts SET kind = :kind, exchange = :exchange", kind=kind, exchange=its_exchange)
    assert len(tell(holding)) == told
