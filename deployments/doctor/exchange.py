"""The exchange: does it answer, is our clock right, and what may each account's key do?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from deployments.doctor.findings import Check, Finding, Question, Situation, fine, found
from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import database_errors, make_engine
from lib.adapters.exchange.budget import WINDOW, BudgetLedger, Held, Pause, Taken, calc_pause
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.adapters.exchange.orders import BinanceOrders
from lib.errors import CredentialsRefused, DatabaseUnavailable, SettingsError
from lib.portfolio.accounts import AccountKind
from lib.ports import SystemClock
from lib.settings import AccountSettings
from lib.units import EPOCH
from lib.wiring import open_account, venue_of

MILLISECOND = timedelta(milliseconds=1)


class OwnLedger:
    """A `BudgetLedger` of this process alone, for when the shared one does not run: a few light requests."""

    def __init__(self) -> None:
        self._used = 0

    def take(self, exchange: str, weight: int, limit: int, now: datetime) -> Taken | Held:
        """See `BudgetLedger`."""
        del exchange, limit
        self._used += weight
        return Taken(EPOCH + (now - EPOCH) // WINDOW * WINDOW, self._used)

    def raise_used(self, exchange: str, window_started_at: datetime, used_weight: int) -> None:
        """See `BudgetLedger`."""

    def pause(self, exchange: str, now: datetime, retry_after: timedelta | None, banned: bool) -> Pause:
        """See `BudgetLedger`."""
        del exchange
        return calc_pause(None, now, retry_after, banned)


def look_at_exchange(situation: Situation) -> Iterator[Finding]:
    """Ask the exchange for its time: does it answer, how quickly, and is our clock right?"""
    yield asyncio.run(_ask_time(situation, venue_of(situation.settings)))


async def _ask_time(situation: Situation, venue: Venue) -> Finding:
    clock = SystemClock()
    exchange = make_exchange(venue, ledger=_find_ledger(situation), clock=clock)
    began = time.monotonic()
    try:
        offset = (await exchange.fetch_time() - clock.now()) / MILLISECOND
    finally:
        await exchange.close()
    words = f"{venue.name} answers in {time.monotonic() - began:.1f} s, its clock is {offset:+.0f} ms from ours"
    if abs(offset) > situation.settings.clock_offset_alert_ms:
        return found(words, "switch time synchronisation (NTP) on; requests are corrected meanwhile")
    return fine(words)


def look_at_keys(situation: Situation) -> Iterator[Finding]:
    """Ask the exchange what each account's key may do; nothing is ordered."""
    for name, given in situation.settings.effective_accounts.items():
        if given.kind is AccountKind.PAPER:
            yield fine(f"{name} is a paper account: it has no key")
        else:
            yield from _look_at_key(situation, name, given)


def _look_at_key(situation: Situation, name: str, given: AccountSettings) -> Iterator[Finding]:
    variable = f"FKS_ACCOUNTS__{name.upper()}__API_KEY"
    try:
        may_trade, may_withdraw, assets = asyncio.run(_ask_key(situation, name, given))
    except (CredentialsRefused, SettingsError) as error:
        yield found(f"{name}: {error}", f"check the key at the exchange, and set {variable} and _API_SECRET anew")
        return
    if may_withdraw:
        yield found(
            f"the key of {name} may move money out, so no order is sent with it",
            f"make a key without withdrawals and transfers, and set {variable}",
        )
    if not may_trade:
        yield found(f"the key of {name} may not trade", "allow spot trading for it, if orders are wanted")
    if may_trade and not may_withdraw:
        yield fine(f"the key of {name} may read and trade, not withdraw; the account holds {assets} assets")


async def _ask_key(situation: Situation, name: str, given: AccountSettings) -> tuple[bool, bool, int]:
    account = open_account(name, given, venue_of(situation.settings), _find_ledger(situation), SystemClock())
    try:
        balances = await account.fetch_balances()
        permissions = await BinanceOrders(account.link, name).fetch_permissions()
    finally:
        await account.close()
    return permissions.may_trade, permissions.may_withdraw, len(balances)


def _find_ledger(situation: Situation) -> BudgetLedger:
    """Return the ledger that all processes share, which knows of pauses; where it does not run, one of our own."""
    if situation.database_url is None:
        return OwnLedger()
    engine = make_engine(situation.database_url)
    try:
        with database_errors("asking for the request budget"), engine.connect():
            return BudgetStore(engine)
    except DatabaseUnavailable:
        return OwnLedger()


CHECKS = (
    Check(Question.FAILING, "exchange and clock", look_at_exchange, is_cause=True),
    Check(Question.FAILING, "keys of the accounts", look_at_keys, is_cause=True),
)
