"""The one place that chooses implementations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy import Engine

from lib.adapters.channels import make_channel
from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.sync import DatabaseSync
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.errors import SettingsError
from lib.notifications.channels import Subscriber
from lib.platform import Platform
from lib.portfolio.accounts import Account, AccountKind
from lib.ports import Clock, ExchangeAccount, SystemClock
from lib.settings import SIMULATOR, AccountSettings, Settings, load_settings


@asynccontextmanager
async def open_platform(
    engine: Engine, settings: Settings | None = None, clock: Clock | None = None
) -> AsyncIterator[Platform]:
    """Build the platform on a migrated database, and release its connections to the exchange afterwards.

    Args:
        engine: Of the database; stays open.
        settings: The operator's; read from the environment when not given.
        clock: The machine's when not given.

    Raises:
        SettingsError: A setting is wrong, or contradicts what the database has of an account.
    """
    settings = settings or load_settings()
    clock = clock or SystemClock()
    venue, ledger = venue_of(settings), BudgetStore(engine)
    portfolio, market = DatabasePortfolioStore(engine), DatabaseMarketFacts(engine)
    async with AsyncExitStack() as stack:
        exchange = make_exchange(venue, ledger=ledger, clock=clock, known_symbols=market.load_names)
        stack.push_async_callback(exchange.close)
        accounts: dict[str, ExchangeAccount | None] = {}
        for name, given in settings.effective_accounts.items():
            registered = Account(name, given.kind, settings.exchange, settings.quote_asset)
            portfolio.ensure_account(registered, clock.now())
            accounts[name] = None
            if given.kind is AccountKind.LIVE:
                key, secret = _keys_of(name, given)
                private = make_account(venue, name, key, secret, ledger=ledger, clock=clock)
                stack.push_async_callback(private.close)
                accounts[name] = private
        yield Platform(
            settings=settings,
            clock=clock,
            exchange=exchange,
            accounts=accounts,
            candles=DatabaseSync(engine),
            market=market,
            portfolio=portfolio,
            notifications=NotificationStore(engine),
            subscribers=make_subscribers(settings, clock),
        )


def venue_of(settings: Settings) -> Venue:
    """Return the exchange that the settings name.

    Raises:
        SettingsError: The simulator without its address.
    """
    if settings.exchange == SIMULATOR and settings.exchange_url is None:
        raise SettingsError("exchange=simulator needs FKS_EXCHANGE_URL; `make run` starts one and sets it by itself.")
    return Venue(
        settings.exchange,
        settings.exchange_url,
        settings.exchange_sandbox,
        settings.exchange_timeout_seconds,
        settings.exchange_concurrency,
        settings.exchange_weight_per_minute,
    )


def make_subscribers(settings: Settings, clock: Clock) -> list[Subscriber]:
    """Return every channel of the settings with what it wants."""
    return [
        Subscriber(
            make_channel(name, given.url.get_secret_value(), clock), given.types, given.min_severity, given.order
        )
        for name, given in settings.channels.items()
    ]


def _keys_of(name: str, given: AccountSettings) -> tuple[str, str]:
    if given.api_key is None or given.api_secret is None:
        raise SettingsError(
            f"The live account {name} has no keys. Set FKS_ACCOUNTS__{name.upper()}__API_KEY and _API_SECRET."
        )
    return given.api_key.get_secret_value(), given.api_secret.get_secret_value()
