"""The private side of an account at a Binance-like exchange: signed reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from lib.adapters.exchange.account_answers import find_newest_fill, to_balances, to_fills
from lib.adapters.exchange.budget import LEFT_BY_FILLS_RATIO
from lib.adapters.exchange.flows import fetch_cash_flows
from lib.adapters.exchange.link import Link, Request
from lib.balances.flows import CashFlow
from lib.portfolio.fills import Balance, Fill

ACCOUNT_WEIGHT = 20
FILLS_WEIGHT = 20
MOST_FILLS = 1000


class BinanceAccount:
    """The port `ExchangeAccount`.

    The clock offset is measured before the first signed request, so that a machine whose clock is wrong can sign.

    Attributes:
        account: Our name of it.
        link: Its connection, which counts requests and waits and knows the clock's offset.
    """

    def __init__(self, link: Link, account: str) -> None:
        self.account = account
        self.link = link

    async def fetch_balances(self) -> Mapping[str, Balance]:
        """Return every asset with a total above zero."""
        what = f"balances of {self.account}"
        answer = await self._ask(Request(what, ACCOUNT_WEIGHT, self.link.client.privateGetAccount))
        return to_balances(answer, f"{self.link.name} account {self.account}")

    async def fetch_fills(self, symbol: str, from_id: int) -> Sequence[Fill]:
        """Return all fills of the symbol with an id >= `from_id`, rising by id (pages are followed)."""
        fills: list[Fill] = []
        while True:
            page = await self._fetch_page(symbol, from_id)
            fills += page
            if len(page) < MOST_FILLS:
                return fills
            from_id = page[-1].fill_id + 1

    async def fetch_cash_flows(self, since: datetime) -> Sequence[CashFlow]:
        """Return the spot wallet's deposits and withdrawals since then, by time."""
        return await fetch_cash_flows(self.link, self.account, since, self._ask)

    async def close(self) -> None:
        """Release connections."""
        await self.link.close()

    async def _fetch_page(self, symbol: str, from_id: int) -> list[Fill]:
        what = f"fills of {symbol}"
        params = {"symbol": symbol.replace("/", ""), "fromId": from_id, "limit": MOST_FILLS}
        call = partial(self.link.client.privateGetMyTrades, params)
        answer = await self._ask(Request(what, FILLS_WEIGHT, call, symbol, LEFT_BY_FILLS_RATIO))
        return to_fills(
            answer,
            where=f"{self.link.name} {what} of {self.account}",
            account=self.account,
            symbol=symbol,
            from_id=from_id,
            limit=MOST_FILLS,
            latest=await self.link.latest_instant(find_newest_fill(answer)),
        )

    async def _ask(self, request: Request) -> Any:
        if self.link.clock_offset is None:
            await self.link.measure_offset()
        return await self.link.send(request)
