"""What only shows when the settings are put to use: exchange, live accounts, channels, the archive; built once."""

from __future__ import annotations

from contextlib import AsyncExitStack

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.exchange.factory import make_exchange
from lib.errors import SettingsError
from lib.portfolio.accounts import AccountKind
from lib.ports import SystemClock
from lib.settings import Settings
from lib.wiring import make_subscribers, open_account, venue_of
from lib.wiring_later import make_archive_folder


async def check_settings(settings: Settings) -> None:
    """Build the exchange's client, every account, every channel and the archive's folder as a flow run does.

    They are let go again. Nothing is connected: a wrong key or a revoked webhook shows when it is used.

    Raises:
        SettingsError: Names everything that is wrong, with the remedy; never a value.
    """
    faults = [subscriber.fault for subscriber in make_subscribers(settings, SystemClock())]
    wrong = [*filter(None, faults), *await _check_exchange(settings), *_check_archive(settings)]
    if wrong:
        raise SettingsError("\n".join(wrong))


def _check_archive(settings: Settings) -> list[str]:
    try:
        make_archive_folder(settings).check()
    except SettingsError as error:
        return [str(error)]
    return []


async def _check_exchange(settings: Settings) -> list[str]:
    clock, ledger = SystemClock(), BudgetStore(make_engine("postgresql://"))  # an engine connects when it is used
    wrong = []
    async with AsyncExitStack() as opened:
        try:
            venue = venue_of(settings)
            opened.push_async_callback(make_exchange(venue, ledger=ledger, clock=clock).close)
        except SettingsError as error:
            return [str(error)]
        for name, given in settings.effective_accounts.items():
            if given.kind is AccountKind.PAPER:
                continue
            try:
                account = open_account(name, given, venue, ledger, clock)
            except SettingsError as error:
                wrong.append(str(error))
                continue
            opened.push_async_callback(account.close)
    return wrong
