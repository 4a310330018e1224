"""What an account is worth at an instant, as sizing and risk need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Protocol

from lib.portfolio.accounts import Account
from lib.portfolio.fills import Balance
from lib.portfolio.money import EXACT, share_of
from lib.portfolio.stores import HeldPosition

ZERO = Decimal(0)
PRICE_LASTS = timedelta(days=1)
"""How old the price of an asset without a position may be; an older one says nothing about what it is worth."""
NEGLIGIBLE_RATIO = Decimal("0.01")
"""Of equity: assets without a position that are worth no more, all of them together, do not make a state old."""


@dataclass(frozen=True)
class AssetPrice:
    """What one unit of an asset is worth in a quote asset.

    Attributes:
        price: Above zero.
        priced_by: "SOL/USDT", "SOL/BTC, BTC/USDT" through a bridge, or "candle 5m".
        at: When the exchange said so, UTC.
    """

    price: Decimal
    priced_by: str
    at: datetime


@dataclass(frozen=True)
class Holding:
    """What an account holds of an asset that is not its cash.

    Attributes:
        balance: Free and locked, as the exchange told it.
        price: Its last price; None for one that nothing prices.
    """

    balance: Balance
    price: AssetPrice | None


@dataclass(frozen=True)
class AccountState:
    """An account's cash and holdings; every amount is in its quote asset.

    Attributes:
        account: Whose.
        quote_asset: "USDT".
        at: The oldest instant any part of it was seen that matters, UTC: the balances, a position's price, or the price
            of other assets, unless what is priced as long ago is together worth at most 1 % of equity. Of a coin that
            is traded no more, the price grows old for a day: it must not make everything else look old.
        cash_free: Of the quote asset, free for orders.
        cash_locked: Of the quote asset, locked in orders.
        market_values: Of each open position, by symbol: its quantity, or what the account still holds of it where that
            is less, at its last price.
        other_values: Of what is held without a position, or beyond it (deposited), by asset, at its last price.
        unrealized_pnl: Of the open positions, as far as they are still held; a loss is negative.
        unpriced: What has no price, so it is in none of the values: symbols of positions, and assets.
        holdings: Every asset but the cash, by name; what the values above are made of.
        seen_at: When the exchange told the balances, UTC; None where a state was not built from balances.
    """

    account: str
    quote_asset: str
    at: datetime
    cash_free: Decimal
    cash_locked: Decimal
    market_values: Mapping[str, Decimal]
    other_values: Mapping[str, Decimal] = field(default_factory=dict)
    unrealized_pnl: Decimal = ZERO
    unpriced: tuple[str, ...] = ()
    holdings: tuple[Holding, ...] = ()
    seen_at: datetime | None = None

    @property
    def other_value(self) -> Decimal:
        """Everything that is held without a position, or beyond it."""
        with localcontext(EXACT):
            return sum(self.other_values.values(), ZERO)

    @property
    def total_values(self) -> Mapping[str, Decimal]:
        """Everything held of each asset, in a position and beyond; what a limit on one asset is about.

        By the asset's market with the cash ("SOL/USDT"), also where the exchange has none.
        """
        totals = dict(self.market_values)
        with localcontext(EXACT):
            for asset, value in self.other_values.items():
                symbol = f"{asset}/{self.quote_asset}"
                totals[symbol] = totals.get(symbol, ZERO) + value
        return totals

    @property
    def market_value(self) -> Decimal:
        """Everything but the cash."""
        return sum(self.market_values.values(), ZERO) + self.other_value

    @property
    def equity(self) -> Decimal:
        """Cash and everything held."""
        return self.cash_free + self.cash_locked + self.market_value


class StateStore(Protocol):
    """What an account was worth when it was last imported and priced."""

    def load_state(self, account: str) -> AccountState | None:
        """Return the account's stored state, None before its first import; nothing is asked of the exchange.

        Holdings are those of the last import, so cash, positions and other assets belong together. A position counts
        at its last price however old that is (`AccountState.at` tells), another asset only at one of the last day.

        Raises:
            OperatorError: The account is not registered.
            DatabaseUnavailable: Trying again is safe.
        """
        ...


def find_excess(
    account: Account, balances: Mapping[str, Balance], held: Sequence[HeldPosition]
) -> Mapping[str, Decimal]:
    """Return what the account holds of each asset, cash apart, beyond its open positions; always above zero."""
    excess = {asset: balance.total for asset, balance in balances.items() if asset != account.quote_asset}
    for one in _of_account(account, held):
        base = one.symbol.partition("/")[0]
        excess[base] = excess.get(base, ZERO) - one.position.quantity
    return {asset: quantity for asset, quantity in excess.items() if quantity > 0}


def build_state(
    account: Account,
    *,
    balances: Mapping[str, Balance],
    seen_at: datetime,
    held: Sequence[HeldPosition],
    prices: Mapping[str, AssetPrice],
) -> AccountState:
    """Value what an account holds.

    What a position has more than the account holds, because something left that the ledger does not know yet, is worth
    nothing: 2 SOL in the position and 1.5 on the account, at 100, are 150.

    Args:
        account: Whose.
        balances: By asset, as the exchange told them.
        seen_at: When it did.
        held: The open positions with their last valuations.
        prices: Of other assets, and of what is held beyond a position.
    """
    values: dict[str, Decimal] = {}
    unpriced: list[str] = []
    instants = [seen_at]
    unrealized = ZERO
    with localcontext(EXACT):
        for one in _of_account(account, held):
            if one.valuation is None:
                unpriced.append(one.symbol)
                continue
            balance = balances.get(one.symbol.partition("/")[0])
            quantity = min(one.position.quantity, balance.total if balance else ZERO)
            values[one.symbol] = quantity * one.valuation.price
            unrealized += share_of(one.valuation.unrealized_pnl_quote, quantity, one.position.quantity)
            instants.append(one.valuation.price_at)
        excess = find_excess(account, balances, held)
        others = {asset: quantity * prices[asset].price for asset, quantity in excess.items() if asset in prices}
        cash = balances.get(account.quote_asset, Balance(account.quote_asset, ZERO, ZERO))
        equity = sum((*values.values(), *others.values()), cash.total)
        instants += _find_oldest(others, prices, NEGLIGIBLE_RATIO * equity)
    return AccountState(
        account=account.name,
        quote_asset=account.quote_asset,
        at=min(instants),
        cash_free=cash.free,
        cash_locked=cash.locked,
        market_values=values,
        other_values=others,
        unrealized_pnl=unrealized,
        unpriced=tuple(sorted([*unpriced, *(excess.keys() - others.keys())])),
        holdings=_list_holdings(account, balances, held, prices),
        seen_at=seen_at,
    )


def _find_oldest(
    values: Mapping[str, Decimal], prices: Mapping[str, AssetPrice], negligible: Decimal
) -> list[datetime]:
    """Return the first instant by which the prices of more than that were told, if there is one."""
    worth = ZERO
    for asset in sorted(values, key=lambda name: prices[name].at):
        worth += values[asset]
        if worth > negligible:
            return [prices[asset].at]
    return []


def _list_holdings(
    account: Account,
    balances: Mapping[str, Balance],
    held: Sequence[HeldPosition],
    prices: Mapping[str, AssetPrice],
) -> tuple[Holding, ...]:
    """A position's price goes before another one of its asset, as in the values."""
    known = dict(prices)
    for one in _of_account(account, held):
        if one.valuation is not None:
            known[one.symbol.partition("/")[0]] = AssetPrice(one.valuation.price, one.symbol, one.valuation.price_at)
    return tuple(
        Holding(balance, known.get(asset))
        for asset, balance in sorted(balances.items())
        if asset != account.quote_asset and balance.total > 0
    )


def _of_account(account: Account, held: Sequence[HeldPosition]) -> list[HeldPosition]:
    """The positions bought with the account's quote asset; what others hold counts as other assets."""
    return [one for one in held if one.symbol.partition("/")[2] == account.quote_asset]
