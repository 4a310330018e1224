"""From what each asset lacks to legs: which can be traded, how much the cash pays for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from lib.allocation.holdings import Portfolio
from lib.allocation.legs import Leg, Sized, SkipReason, refuse_market, size_buy, size_sell
from lib.portfolio.fills import Side
from lib.portfolio.money import EXACT
from lib.portfolio.stores import Listing
from lib.units import format_money

ZERO = Decimal(0)
MOSTLY = Decimal("0.9995")  # a cut that no number shown to people would tell


@dataclass(frozen=True)
class Desk:
    """Makes the legs of one account's plan.

    Attributes:
        portfolio: Cash and assets.
        listings: The exchange's filters by symbol.
        fee_ratio: Of a trade's notional.
        smallest_quote: What is not worth a trade.
    """

    portfolio: Portfolio
    listings: Mapping[str, Listing]
    fee_ratio: Decimal
    smallest_quote: Decimal

    def find_closed(self, name: str) -> Sized | None:
        """Return why the asset cannot be traded at all, or None."""
        symbol = self.portfolio.symbol_of(name)
        return refuse_market(symbol, self.portfolio.assets[name], self.listings.get(symbol))

    def is_due(self, name: str, wanted: Decimal) -> bool:
        """Tell whether `wanted` quote more or less of it is anything: a step at least."""
        asset = self.portfolio.assets[name]
        listing = self.listings.get(self.portfolio.symbol_of(name))
        step = listing.quantity_step if listing is not None else None
        return wanted > 0 and wanted >= (step or ZERO) * (asset.price or ZERO)

    def sell(self, name: str, wanted: Decimal) -> Leg:
        """Return the leg that sells about `wanted` quote of it."""
        symbol = self.portfolio.symbol_of(name)
        refused = self._refuse(name, wanted)
        sized = refused or size_sell(symbol, self.portfolio.assets[name], wanted, self.listings[symbol])
        return self._to_leg(name, Side.SELL, wanted, sized)

    def buy_all(self, wanted: Mapping[str, Decimal], cash: Decimal) -> list[Leg]:
        """Return the legs that buy what is wanted of each, in quote; together with fees at most `cash`.

        When that is short, every one gets the same part of what it wants. One that is then too small for the exchange
        leaves its part to the others, the smallest first.
        """
        sized = {name: refused for name in wanted if (refused := self._refuse(name, wanted[name])) is not None}
        while open_names := [name for name in wanted if name not in sized]:
            if cash <= 0:
                sized |= {name: self._no_cash(cash) for name in open_names}
                break
            needed = self._calc_needed([wanted[name] for name in open_names])
            tried = {name: self._buy(name, wanted[name], needed, cash) for name in open_names}
            if not (failed := [name for name in open_names if tried[name].skipped is not None]):
                sized |= tried
                break
            smallest = min(failed, key=lambda name: (wanted[name], name))
            sized[smallest] = tried[smallest]
        return [self._to_leg(name, Side.BUY, wanted[name], sized[name]) for name in wanted]

    def _refuse(self, name: str, wanted: Decimal) -> Sized | None:
        return self._find_too_small(wanted) or self.find_closed(name)

    def _find_too_small(self, notional: Decimal) -> Sized | None:
        if notional >= self.smallest_quote:
            return None
        quote = self.portfolio.quote_asset
        least = format_money(self.smallest_quote, quote)
        detail = f"{format_money(notional, quote)} is not worth a trade (below {least})."
        return Sized(ZERO, SkipReason.TOO_SMALL, detail)

    def _calc_needed(self, wanted: list[Decimal]) -> Decimal:
        """Return what all of it costs, fees included."""
        with localcontext(EXACT):
            return sum(wanted, ZERO) * (1 + self.fee_ratio)

    def _buy(self, name: str, wanted: Decimal, needed: Decimal, cash: Decimal) -> Sized:
        symbol = self.portfolio.symbol_of(name)
        with localcontext(EXACT):
            affordable = wanted if cash >= needed else wanted * cash / needed
            sized = self._find_too_small(affordable) or size_buy(
                symbol, self.portfolio.assets[name], affordable, self.listings[symbol]
            )
            ratio = cash / needed
        if ratio > MOSTLY:
            return sized
        quote = self.portfolio.quote_asset
        short = f"Cut to {100 * ratio:.1f} %: {format_money(cash, quote)} of cash is left for all buys."
        return Sized(sized.quantity, sized.skipped, f"{sized.detail} {short}".strip())

    def _no_cash(self, cash: Decimal) -> Sized:
        quote = self.portfolio.quote_asset
        short = f"; {format_money(-cash, quote)} is missing to the reserve" if cash < 0 else ""
        return Sized(ZERO, SkipReason.NO_CASH, f"No free cash above the reserve{short}.")

    def _to_leg(self, name: str, side: Side, wanted: Decimal, sized: Sized) -> Leg:
        asset = self.portfolio.assets[name]
        with localcontext(EXACT):
            fee = sized.quantity * asset.price * self.fee_ratio if asset.price is not None else ZERO
        return Leg(
            number=0,
            symbol=self.portfolio.symbol_of(name),
            side=side,
            wanted_quote=wanted,
            quantity=sized.quantity,
            price=asset.price,
            priced_at=asset.priced_at,
            fee_quote=fee,
            skipped=sized.skipped,
            detail=sized.detail,
            held=asset.quantity,
        )
