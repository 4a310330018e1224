"""Updating the positions of one account, as the task does it for each."""

from __future__ import annotations

from collections.abc import Sequence

from lib.notifications.outbox import Outbox
from lib.portfolio import positions
from lib.portfolio.position_report import PositionsUpdate
from lib.portfolio.quotes import PriceSource, fetch_quotes
from lib.portfolio.stores import MarketFacts, PortfolioStore
from lib.ports import Clock, ExchangeAccount


async def update_positions(
    *,
    account: str,
    exchange: PriceSource,
    exchange_account: ExchangeAccount,
    store: PortfolioStore,
    market: MarketFacts,
    outbox: Outbox,
    clock: Clock,
    universe: Sequence[str],
) -> PositionsUpdate:
    """Ask the account, then for all prices, then store."""
    answer = await positions.ask_account(
        account=account, exchange_account=exchange_account, store=store, market=market, clock=clock, universe=universe
    )
    quotes = await fetch_quotes(exchange, clock)
    return positions.update_positions(answer, quotes, store=store, market=market, outbox=outbox, clock=clock)
