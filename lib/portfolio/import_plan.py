"""Which symbols to ask for new fills, so that nothing is missed and little is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lib.portfolio.fills import Balance
from lib.portfolio.stores import ImportState

ASK_EVERY = timedelta(hours=1)
ASK_AGAIN_FOR = timedelta(minutes=10)
AGED_PER_RUN = 50
FEE_ASSETS = frozenset({"BNB"})  # what Binance takes fees of any symbol in; elsewhere it does no harm


@dataclass(frozen=True)
class ImportPlan:
    """What to ask for, and what it would explain.

    Attributes:
        reasons: Why each symbol is asked: "first import", "holding changed", "cash changed", "hourly".
        general_assets: The quote and fee assets: any symbol may have moved them, so only an import in which every
            symbol asked answered explains them.
        quote_asset: The account's quote asset.
    """

    reasons: Mapping[str, str]
    general_assets: frozenset[str]
    quote_asset: str

    def find_explained(self, balances: Mapping[str, Balance], failed: Collection[str]) -> list[Balance]:
        """Return the balances that may be stored as seen, given the symbols whose fills could not be imported."""
        return [
            balance
            for asset, balance in balances.items()
            if (not failed if asset in self.general_assets else f"{asset}/{self.quote_asset}" not in failed)
        ]


def find_changed(state: ImportState, balances: Mapping[str, Balance]) -> frozenset[str]:
    """Return the assets whose total differs from the one seen at the last import."""
    seen = {asset: balance.total for asset, balance in state.seen.items()}
    now = {asset: balance.total for asset, balance in balances.items()}
    return frozenset(asset for asset in {*seen, *now} if seen.get(asset, 0) != now.get(asset, 0))


def plan_import(
    state: ImportState,
    balances: Mapping[str, Balance],
    *,
    universe: Sequence[str],
    listed: Collection[str],
    quote_asset: str,
    now: datetime,
) -> ImportPlan:
    """Choose the symbols to ask.

    One request for fills costs weight 20 a symbol (Binance), one for balances 20 in all. So:

    * an asset's total changed, or did so within the last ten minutes (the exchange may show a fill later than the
      balance it moved): its symbol, also outside the universe if the exchange lists it;
    * only the quote or a fee asset changed (bought and sold again in between): every watched symbol;
    * never asked before: the symbol; not asked for an hour: the fifty that were asked longest ago.

    Args:
        state: What the last import left.
        balances: What the exchange says now.
        universe: The symbols kept fresh; those with an open position are watched with them.
        listed: The symbols that the exchange is known to have.
        quote_asset: The account's quote asset.
        now: UTC.
    """
    general = FEE_ASSETS | {quote_asset}
    watched = sorted({*universe, *state.open_symbols})
    changed = find_changed(state, balances)
    moved = changed | {asset for asset, balance in state.seen.items() if now - balance.changed_at < ASK_AGAIN_FOR}
    reasons = dict.fromkeys(_find_aged(state, watched, now), "hourly")
    if changed and changed <= general:
        reasons |= dict.fromkeys(watched, "cash changed")
    symbols = {f"{asset}/{quote_asset}" for asset in moved - {quote_asset}}
    reasons |= dict.fromkeys(sorted(symbols & {*watched, *listed}), "holding changed")
    reasons |= dict.fromkeys((symbol for symbol in watched if symbol not in state.asked_at), "first import")
    return ImportPlan(reasons, general, quote_asset)


def _find_aged(state: ImportState, watched: Sequence[str], now: datetime) -> list[str]:
    aged = [symbol for symbol in watched if symbol in state.asked_at and now - state.asked_at[symbol] >= ASK_EVERY]
    return sorted(aged, key=lambda symbol: state.asked_at[symbol])[:AGED_PER_RUN]
