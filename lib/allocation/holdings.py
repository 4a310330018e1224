"""What an account holds, asset by asset, at the prices of one instant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from lib.errors import DataError, RetryableError
from lib.portfolio.money import EXACT
from lib.portfolio.quotes import Quotes
from lib.portfolio.state import PRICE_LASTS, AccountState, AssetPrice, Holding
from lib.portfolio.valuation import ABSURD_FACTOR, ABSURD_WITHIN

ZERO = Decimal(0)
CLOCK_TOLERANCE = timedelta(minutes=1)  # prices are asked once for all accounts, balances may be read just after


@dataclass(frozen=True)
class Asset:
    """An asset, held or wanted.

    Attributes:
        name: "SOL".
        quantity: Held, locked in orders included.
        free: Of it, free for orders.
        price: Quote per unit; None when nothing prices it, which only one that is not held may be.
        priced_at: When the exchange said so, UTC.
        is_quoted: Whether the price is the one of its market with the cash, now: only then it is traded.
    """

    name: str
    quantity: Decimal
    free: Decimal
    price: Decimal | None
    priced_at: datetime | None
    is_quoted: bool

    @property
    def value(self) -> Decimal:
        """What is held is worth in quote."""
        with localcontext(EXACT):
            return self.quantity * self.price if self.price is not None else ZERO


@dataclass(frozen=True)
class Portfolio:
    """An account's cash and assets.

    Attributes:
        account: Whose.
        quote_asset: Its cash: "USDT".
        cash_free: Free for orders.
        cash_locked: Locked in orders.
        assets: The universe and whatever is held besides, by name.
        unpriced: What is held besides and has no price, so it counts nowhere.
    """

    account: str
    quote_asset: str
    cash_free: Decimal
    cash_locked: Decimal
    assets: Mapping[str, Asset]
    unpriced: tuple[str, ...] = ()

    @property
    def equity(self) -> Decimal:
        """Cash and everything held that has a price."""
        with localcontext(EXACT):
            return self.cash_free + self.cash_locked + sum((asset.value for asset in self.assets.values()), ZERO)

    def symbol_of(self, asset: str) -> str:
        """Return the asset's market with the cash."""
        return f"{asset}/{self.quote_asset}"

    def move(self, asset: str, quantity: Decimal, cash: Decimal) -> Portfolio:
        """Return the portfolio after a trade; a negative amount leaves."""
        held = self.assets[asset]
        with localcontext(EXACT):
            moved = replace(held, quantity=held.quantity + quantity, free=held.free + quantity)
            return replace(self, cash_free=self.cash_free + cash, assets={**self.assets, asset: moved})


def build_portfolio(state: AccountState, quotes: Quotes, universe: Collection[str], max_age: timedelta) -> Portfolio:
    """Value what an account holds and what it may want at one answer of the exchange.

    An asset without a price there, or with one ten times away from that of the last hour (an exchange's mistake),
    counts at its last price of the day before and is not traded.

    Args:
        state: What it holds.
        quotes: What the exchange answered.
        universe: Assets that are wanted whether they are held or not.
        max_age: How old the balances may be.

    Raises:
        RetryableError: The balances are older: what was bought or sold since is not known. Or there are no quotes.
        DataError: One of the universe is held and has no price at all, so nobody knows what the equity is.
    """
    _check_known(state, quotes, max_age)
    held = {one.balance.asset: one for one in state.holdings}
    assets = {
        name: _value(name, held.get(name), state.quote_asset, quotes) for name in {**dict.fromkeys(universe), **held}
    }
    worthless = [name for name, asset in assets.items() if asset.price is None and asset.quantity > 0]
    if lost := [name for name in worthless if name in universe]:
        raise DataError(
            f"{', '.join(lost)} is held by {state.account} and has no price, neither now nor of the last day, so its "
            "equity is not known. See why update_positions gives none; nothing is planned until then."
        )
    return Portfolio(
        state.account,
        state.quote_asset,
        state.cash_free,
        state.cash_locked,
        {name: asset for name, asset in assets.items() if name not in worthless},
        tuple(worthless),
    )


def _check_known(state: AccountState, quotes: Quotes, max_age: timedelta) -> None:
    if quotes.error is not None:
        raise quotes.error
    if state.seen_at is None or not -CLOCK_TOLERANCE <= quotes.at - state.seen_at <= max_age:
        seen = f"are of {state.seen_at:%Y-%m-%d %H:%M} UTC" if state.seen_at else "were never read"
        raise RetryableError(
            f"The balances of {state.account} {seen}, now it is {quotes.at:%Y-%m-%d %H:%M} UTC. Nothing is planned on "
            "what may have changed: update_positions reads them."
        )


def _value(name: str, held: Holding | None, quote_asset: str, quotes: Quotes) -> Asset:
    last = held.price if held is not None else None
    quoted = quotes.find(f"{name}/{quote_asset}")
    if quoted is not None and _is_absurd(quoted, last, quotes.at):
        quoted = None
    if last is not None and abs(quotes.at - last.at) > PRICE_LASTS:
        last = None
    quantity, free = (held.balance.total, held.balance.free) if held is not None else (ZERO, ZERO)
    if quoted is not None:
        return Asset(name, quantity, free, quoted, quotes.at, is_quoted=True)
    price, priced_at = (last.price, last.at) if last is not None else (None, None)
    return Asset(name, quantity, free, price, priced_at, is_quoted=False)


def _is_absurd(price: Decimal, last: AssetPrice | None, now: datetime) -> bool:
    if last is None or abs(now - last.at) >= ABSURD_WITHIN:
        return False
    return not last.price / ABSURD_FACTOR <= price <= last.price * ABSURD_FACTOR
