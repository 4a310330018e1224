"""The one place that chooses implementations; `lib.wiring_later` has those that the five-minute chain never uses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from lib.adapters.channels import make_channel
from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.exits import DatabaseExits
from lib.adapters.database.findings import DatabaseFindings
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.market_source import check_market_source
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.orders import DatabaseOrders
from lib.adapters.database.paper import DatabasePaper
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.protections import DatabaseProtections
from lib.adapters.database.rebalancing import DatabasePlans
from lib.adapters.database.schema import check_schema
from lib.adapters.database.sync import DatabaseSync
from lib.adapters.database.tickets import DatabaseTickets
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.budget import BudgetLedger
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.adapters.exchange.orders import BinanceOrders
from lib.adapters.feeds import HttpFeeds
from lib.errors import SettingsError
from lib.execution.venue import OrderVenue
from lib.notifications.channels import Channel, RefusedChannel, Subscriber
from lib.paper.account import PaperAccount
from lib.paper.orders import PaperOrders
from lib.platform import Platform, TradingParts
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.stores import MarketFacts
from lib.ports import BookSource, Clock, SystemClock
from lib.settings import SIMULATOR, AccountSettings, ChannelSettings, Settings, load_settings

if TYPE_CHECKING:
    from lib.analysis_stores import AnalysisStores
    from lib.archive.stores import Archive


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
        SettingsError: A setting of the exchange is wrong, or the database is of another one. A wrong account or channel
            stops only itself.
        EnvironmentRefused: The database's tables are of another version of the code.
    """
    settings = settings or load_settings()
    clock = clock or SystemClock()
    venue, ledger = venue_of(settings), BudgetStore(engine)
    check_schema(engine)
    check_market_source(engine, settings.market_source, clock.now())
    portfolio, market = DatabasePortfolioStore(engine), DatabaseMarketFacts(engine)
    async with AsyncExitStack() as stack:
        exchange = make_exchange(venue, ledger=ledger, clock=clock, known_symbols=market.load_names)
        stack.push_async_callback(exchange.close)
        accounts: dict[str, PaperAccount | BinanceAccount] = {}
        refused: dict[str, SettingsError] = {}
        for name, given in settings.effective_accounts.items():
            try:
                portfolio.ensure_account(
                    Account(name, given.kind, settings.exchange, settings.quote_asset), clock.now()
                )
                private = (
                    _open_paper(name, given, settings, engine, exchange, market, clock)
                    if given.kind is AccountKind.PAPER
                    else open_account(name, given, venue, ledger, clock)
                )
            except SettingsError as error:  # the other accounts' stop losses are watched all the same
                refused[name] = error
                continue
            accounts[name] = private
            stack.push_async_callback(private.close)
        feeds = HttpFeeds()
        stack.push_async_callback(feeds.close)
        yield Platform(
            settings=settings,
            clock=clock,
            exchange=exchange,
            books=exchange,
            accounts=accounts,
            refused_accounts=refused,
            candles=DatabaseSync(engine),
            market=market,
            portfolio=portfolio,
            notifications=NotificationStore(engine),
            subscribers=make_subscribers(settings, clock),
            feeds=feeds,
            trading=TradingParts(
                orders=DatabaseOrders(engine),
                plans=DatabasePlans(engine),
                tickets=DatabaseTickets(engine),
                exits=DatabaseExits(engine),
                protections=DatabaseProtections(engine),
                findings=DatabaseFindings(engine),
                venues={name: _open_orders(one) for name, one in accounts.items()},
            ),
            choose_analysis=partial(_choose_analysis, engine),
            choose_archive=partial(_choose_archive, engine, settings),
        )


def _choose_analysis(engine: Engine) -> AnalysisStores:
    from lib.wiring_later import make_analysis  # not for the five-minute chain

    return make_analysis(engine)


def _choose_archive(engine: Engine, settings: Settings) -> Archive:
    from lib.wiring_later import make_archive  # as above

    return make_archive(engine, settings)


def _open_orders(account: PaperAccount | BinanceAccount) -> OrderVenue:
    if isinstance(account, PaperAccount):
        return PaperOrders(account)
    return BinanceOrders(account.link, account.account)


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
    """Return every channel of the settings with what it wants; one with a wrong URL keeps its messages waiting."""
    return [
        Subscriber(_open_channel(name, given, clock), given.types, given.min_severity, given.order, given.holding)
        for name, given in settings.channels.items()
    ]


def _open_channel(name: str, given: ChannelSettings, clock: Clock) -> Channel:
    try:
        return make_channel(name, given.url.get_secret_value(), clock)
    except SettingsError as error:
        return RefusedChannel(name, str(error))


def open_account(name: str, given: AccountSettings, venue: Venue, ledger: BudgetLedger, clock: Clock) -> BinanceAccount:
    """Return the private side of a live account."""
    if given.api_key is None or given.api_secret is None:
        variable = f"FKS_ACCOUNTS__{name.upper()}__API_KEY"
        raise SettingsError(f"The live account {name} has no keys. Set {variable} and _API_SECRET.")
    key, secret = given.api_key.get_secret_value(), given.api_secret.get_secret_value()
    return make_account(venue, name, key, secret, ledger=ledger, clock=clock)


def _open_paper(
    name: str,
    given: AccountSettings,
    settings: Settings,
    engine: Engine,
    books: BookSource,
    market: MarketFacts,
    clock: Clock,
) -> PaperAccount:
    return PaperAccount(
        name,
        quote_asset=settings.quote_asset,
        cash=given.paper_cash,
        fee_ratio=given.paper_fee_ratio,
        store=DatabasePaper(engine),
        books=books,
        market=market,
        clock=clock,
    )
