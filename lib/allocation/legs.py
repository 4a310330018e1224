"""The legs of a rebalance plan: one trade each, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal, localcontext
from enum import StrEnum

from lib.allocation.holdings import Asset
from lib.market.symbols import SymbolStatus
from lib.portfolio.fills import Side
from lib.portfolio.money import EXACT, format_number
from lib.portfolio.stores import Listing
from lib.units import floor_to_step, format_money

ZERO = Decimal(0)
FINEST = Decimal("1e-12")  # of quantities before they are cut to the exchange's step


class SkipReason(StrEnum):
    """Why a leg is not traded."""

    NO_PRICE = "no_price"
    NO_FILTERS = "no_filters"
    NOT_TRADING = "not_trading"
    TOO_SMALL = "too_small"
    LOCKED = "locked"
    NO_CASH = "no_cash"
    BELOW_MIN_QUANTITY = "below_min_quantity"
    BELOW_MIN_NOTIONAL = "below_min_notional"


@dataclass(frozen=True)
class Leg:
    """One trade of a plan, or why there is none.

    Attributes:
        number: Its place in the plan, from 1.
        symbol: "SOL/USDT".
        side: Sells come first.
        wanted_quote: What the target asks for, in quote, always above zero.
        quantity: Base, a multiple of the exchange's step; zero when it is skipped.
        price: The reference, quote per base; None when nothing prices it.
        priced_at: When the exchange said so, UTC.
        fee_quote: The fee to be expected.
        skipped: Why it is not traded; None when it is.
        detail: Why it is skipped or cut, with the numbers; empty when there is nothing to say.
        held: Base that the account held, locked included, when it was planned; None for plans of old.
    """

    number: int
    symbol: str
    side: Side
    wanted_quote: Decimal
    quantity: Decimal
    price: Decimal | None
    priced_at: datetime | None
    fee_quote: Decimal
    skipped: SkipReason | None = None
    detail: str = ""
    held: Decimal | None = None

    @property
    def base(self) -> str:
        """The asset bought or sold."""
        return self.symbol.partition("/")[0]

    @property
    def notional(self) -> Decimal:
        """Quantity at the reference price, in quote."""
        with localcontext(EXACT):
            return self.quantity * self.price if self.price is not None else ZERO

    @property
    def cash_change(self) -> Decimal:
        """What it does to the cash at the reference price, in quote; a buy's is negative."""
        with localcontext(EXACT):
            return (self.notional if self.side is Side.SELL else -self.notional) - self.fee_quote


@dataclass(frozen=True)
class Sized:
    """A quantity to trade, or why there is none."""

    quantity: Decimal
    skipped: SkipReason | None = None
    detail: str = ""


def refuse_market(symbol: str, asset: Asset, listing: Listing | None) -> Sized | None:
    """Return why an asset cannot be traded at all, or None."""
    if listing is None or listing.quantity_step is None:
        detail = f"The exchange's smallest step of {symbol} is not known. sync_market_data reads it."
        return Sized(ZERO, SkipReason.NO_FILTERS, detail)
    if listing.status is not SymbolStatus.TRADING:
        return Sized(ZERO, SkipReason.NOT_TRADING, f"{symbol} is {listing.status} on the exchange.")
    if not asset.is_quoted:
        return Sized(ZERO, SkipReason.NO_PRICE, f"The exchange gives no price of {symbol} to believe.")
    return None


def size_sell(symbol: str, asset: Asset, wanted: Decimal, listing: Listing) -> Sized:
    """Return what is sold to get `wanted` quote: up to the next step, but never more than is free.

    Rounded up, so that the buys which this pays for are not short of cash; too much by less than a step.
    """
    assert asset.price is not None and listing.quantity_step is not None
    step = listing.quantity_step
    with localcontext(EXACT):
        exact = (wanted / asset.price).quantize(FINEST, rounding=ROUND_DOWN)
        wished = (exact / step).to_integral_value(rounding=ROUND_CEILING) * step
        quantity = min(wished, floor_to_step(asset.free, step))
        locked = asset.quantity - asset.free
        is_cut = wished > quantity and locked >= step
    detail = (
        f"{format_number(locked)} {asset.name} is locked in open orders; cancel them to sell more." if is_cut else ""
    )
    below = _find_below_minimum(symbol, quantity, asset.price, listing)
    if below is not None and is_cut:
        return Sized(ZERO, SkipReason.LOCKED, detail)
    return below or Sized(quantity, detail=detail)


def size_buy(symbol: str, asset: Asset, notional: Decimal, listing: Listing) -> Sized:
    """Return what is bought for at most `notional` quote, fee not included."""
    assert asset.price is not None and listing.quantity_step is not None
    with localcontext(EXACT):
        exact = (notional / asset.price).quantize(FINEST, rounding=ROUND_DOWN)
        quantity = floor_to_step(exact, listing.quantity_step)
    return _find_below_minimum(symbol, quantity, asset.price, listing) or Sized(quantity)


def _find_below_minimum(symbol: str, quantity: Decimal, price: Decimal, listing: Listing) -> Sized | None:
    base, _, quote = symbol.partition("/")
    least = max(listing.min_quantity or ZERO, listing.quantity_step or ZERO)
    if quantity < least:
        detail = f"{format_number(quantity)} {base} is less than {format_number(least)} {base}, the exchange's minimum."
        return Sized(ZERO, SkipReason.BELOW_MIN_QUANTITY, detail)
    if listing.min_notional is not None and quantity * price < listing.min_notional:
        worth, minimum = format_money(quantity * price, quote), format_money(listing.min_notional, quote)
        return Sized(ZERO, SkipReason.BELOW_MIN_NOTIONAL, f"{worth} is less than {minimum}, the exchange's minimum.")
    return None
