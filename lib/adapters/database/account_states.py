"""What an account was worth when it was last imported and priced, from PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from lib.adapters.database.engine import database_errors
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.portfolio_books import IMPORTS
from lib.adapters.database.portfolio_rows import BALANCES, load_held, table_of
from lib.adapters.database.tables.balances import AssetPriceRow
from lib.adapters.database.tables.portfolio import AccountRow
from lib.errors import OperatorError
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.fills import Balance
from lib.portfolio.state import PRICE_LASTS, AccountState, AssetPrice, build_state, find_excess

ACCOUNTS = table_of(AccountRow)
ASSET_PRICES = table_of(AssetPriceRow)


class DatabaseStates:
    """The `StateStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._market = DatabaseMarketFacts(engine)

    def load_state(self, account: str) -> AccountState | None:
        """See `StateStore`."""
        with database_errors(f"reading the state of {account}"), self._engine.connect() as connection:
            # One view of balances, positions and prices: an import may commit between two of these reads.
            connection.execution_options(isolation_level="REPEATABLE READ")
            owner = _load_owner(connection, account)
            rows = connection.execute(select(BALANCES).where(BALANCES.c.account == account)).all()
            seen_at = max((row.seen_at for row in rows), default=None) or _load_asked_at(connection, account)
            if seen_at is None:
                return None
            held = load_held(connection, account)
            balances = {row.asset: Balance(row.asset, row.free, row.locked) for row in rows}
            others = find_excess(owner, balances, held).keys()
            prices = load_asset_prices(connection, others, owner.quote_asset)
        fresh = {asset: price for asset, price in prices.items() if seen_at - price.at <= PRICE_LASTS}
        fresh |= self._load_closes(others - fresh.keys(), owner.quote_asset, seen_at)
        return build_state(owner, balances=balances, seen_at=seen_at, held=held, prices=fresh)

    def _load_closes(self, assets: Collection[str], quote_asset: str, at: datetime) -> dict[str, AssetPrice]:
        """Return the newest close of the day before `at` of each asset that has candles."""
        closes: dict[str, AssetPrice] = {}
        for asset in assets:
            for candle in self._market.load_prices_before(f"{asset}/{quote_asset}", [at]).values():
                closes[asset] = AssetPrice(candle.price, f"candle {candle.timeframe}", candle.closed_at)
        return closes


def load_asset_prices(connection: Connection, assets: Collection[str], quote_asset: str) -> Mapping[str, AssetPrice]:
    """Return the last stored price of each asset that ever had one, however old."""
    rows = connection.execute(
        select(ASSET_PRICES).where(ASSET_PRICES.c.asset.in_(assets), ASSET_PRICES.c.quote_asset == quote_asset)
    )
    return {row.asset: AssetPrice(row.price, row.priced_by, row.price_at) for row in rows}


def _load_owner(connection: Connection, account: str) -> Account:
    row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == account)).one_or_none()
    if row is None:
        raise OperatorError(f"Account {account} is not registered. Name it in the settings, then run `fks up`.")
    return Account(row.name, AccountKind(row.kind), row.exchange, row.quote_asset)


def _load_asked_at(connection: Connection, account: str) -> datetime | None:
    """Return when an account without any balance was last imported."""
    asked_at: datetime | None = connection.scalar(
        select(func.max(IMPORTS.c.asked_at)).where(IMPORTS.c.account == account)
    )
    return asked_at
