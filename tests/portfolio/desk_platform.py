"""A platform whose accounts are traded by hand, on the desk's database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from lib.platform import Platform
from lib.portfolio.accounts import Account, AccountKind
from lib.settings import AccountSettings, load_settings
from lib.wiring import open_platform
from tests.portfolio.conftest import Desk
from tests.portfolio.hand_exchange import HandExchange


@asynccontextmanager
async def open_by_hand(desk: Desk, accounts: Mapping[str, HandExchange]) -> AsyncIterator[Platform]:
    """The platform with these accounts, each with a stop loss of 8 percent; the desk's exchange tells the prices."""
    given = {name: AccountSettings(stop_loss_pct=Decimal(8)) for name in accounts}
    settings = load_settings(exchange="binance", accounts=given, mains=("SOL", "BNB"), alts=("ADA",))
    for name in accounts:
        desk.store.ensure_account(Account(name, AccountKind.LIVE, "hand", "USDT"), desk.clock.now())
    async with open_platform(desk.engine, settings, desk.clock) as opened:
        yield replace(
            opened,
            exchange=cast("Any", desk.exchange),  # no candles
            accounts=accounts,
            refused_accounts={},
            market=desk.market,
        )
