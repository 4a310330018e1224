"""Which symbols to ask for new fills, so that nothing is missed and little is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from lib.portfolio.fills import Balance
from lib.portfolio.stores import ImportState

ASK_EVERY = timedelta(hours=1)
ASK_AGAIN_FOR = timedelta(minutes=10)
AGED_PER_RUN = 50
FEE_ASSETS = frozenset({"BNB"})  # what Binance takes fees of any symbol in; elsewhere it does no harm


def find_changed(state: ImportState, balances: Mapping[str, Balance]) -> frozenset[str]:
    """Return the assets whose total differs from the one seen at the last import."""
    seen = {asset: balance.total for asset, balance in state.seen.items()}
    now = {asset: balance.total for asset, balance in balances.items()}
    return frozenset(asset for asset in {*seen, *now} if seen.get(asset, 0) != now.get(asset, 0))


def find_held(balances: Mapping[str, Balance], quote_asset: str) -> frozenset[str]:
    """Return the assets of which there is something, cash apart."""
    return frozenset(asset for asset, balance in balances.items() if balance.total > 0) - {quote_asset}


def plan_import(
    state: ImportState,
    balances: Mapping[str, Balance],
    *,
    universe: Sequence[str],
    listed: Collection[str],
    quote_asset: str,
    now: datetime,
) -> dict[str, str]:
    """Choose the symbols to ask, each with its reason.

    One request for fills costs weight 20 a symbol (Binance), one for balances 20 in all. So:

    * an asset's total changed, or did so within the last ten minutes (the exchange may show a fill later than the
      balance it moved): its symbol, also outside the universe if the exchange lists it;
    * only the quote or a fee asset changed (bought and sold again in between): every watched symbol;
    * never asked, and watched or its asset held: the symbol, as soon as the exchange is known to list it;
    * its last import failed: the symbol; not asked for an hour: the fifty asked longest ago.

    Args:
        state: What the last import left.
        balances: What the exchange says now.
        universe: The symbols kept fresh; those with an open position are watched with them.
        listed: The symbols that the exchange is known to have.
        quote_asset: The account's quote asset.
        now: UTC.
    """
    general = FEE_ASSETS | {quote_asset}
    watched = {*universe, *state.open_symbols}
    possible = {*watched, *listed}
    changed = find_changed(state, balances)
    moved = changed | {asset for asset, balance in state.seen.items() if now - balance.changed_at < ASK_AGAIN_FOR}
    reasons = dict.fromkeys(_find_aged(state, watched, now), "hourly")
    if changed and changed <= general:
        reasons |= dict.fromkeys(sorted(watched), "cash changed")
    symbols = {f"{asset}/{quote_asset}" for asset in moved - {quote_asset}}
    failed = {symbol for symbol, at in state.asked_at.items() if at is None}
    reasons |= dict.fromkeys(sorted(symbols & possible), "holding changed")
    held = {f"{asset}/{quote_asset}" for asset in find_held(balances, quote_asset)} & possible
    reasons |= dict.fromkeys(sorted((watched | held) - state.asked_at.keys()), "first import")
    reasons |= dict.fromkeys(sorted(failed & possible), "failed before")
    return reasons


def _find_aged(state: ImportState, watched: Collection[str], now: datetime) -> list[str]:
    """The watched symbols that were asked an hour ago or more, the oldest first."""
    asked = [(at, symbol) for symbol, at in state.asked_at.items() if at is not None and symbol in watched]
    return [symbol for at, symbol in sorted(asked) if now - at >= ASK_EVERY][:AGED_PER_RUN]
