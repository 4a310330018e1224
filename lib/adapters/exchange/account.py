"""The private side of an account at a Binance-like exchange: signed reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from lib.adapters.exchange.account_answers import find_newest_fill, to_balances, to_fills
from lib.adapters.exchange.budget import LEFT_BY_FILLS_RATIO
from lib.adapters.exchange.link import Link, Request
from lib.portfolio.fills import Balance, Fill
from lib.units import to_milliseconds

ACCOUNT_WEIGHT = 20
FILLS_WEIGHT = 20
FLOWS_WEIGHT = 1  # the wallet's endpoints have budgets of their own; ours is hardly touched
MOST_FILLS = 1000
MOST_FLOWS = 1000
FLOWS_WINDOW = timedelta(days=89)  # Binance: less than 90 days between startTime and endTime


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
        """Return the spot wallet's deposits and withdrawals since then (pages and windows of 89 days are followed)."""
        client, flows = self._link.client, list[CashFlow]()
        kinds = (
            ("deposits", client.sapiGetCapitalDepositHisrec, to_deposits),
            ("withdrawals", client.sapiGetCapitalWithdrawHistory, to_withdrawals),
        )
        now = self._link.exchange_now()
        while since < now:
            until = min(since + FLOWS_WINDOW, now + timedelta(minutes=1))  # what is booked meanwhile belongs to it
            for what, endpoint, check in kinds:
                flows += await self._fetch_flows(f"{what} of {self.account}", endpoint, check, since, until)
            since = until
        return sorted({flow.flow_id: flow for flow in flows}.values(), key=lambda flow: (flow.at, flow.flow_id))

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

    async def _fetch_flows(
        self,
        what: str,
        endpoint: Callable[[Mapping[str, Any]], Any],
        check: Callable[..., list[CashFlow]],
        since: datetime,
        until: datetime,
    ) -> list[CashFlow]:
        window = {"startTime": to_milliseconds(since), "endTime": to_milliseconds(until), "limit": MOST_FLOWS}
        flows: list[CashFlow] = []
        offset = 0
        while True:
            answer = await self._ask(Request(what, FLOWS_WEIGHT, partial(endpoint, {**window, "offset": offset})))
            flows += check(answer, where=f"{self._link.name} {what}", account=self.account, limit=MOST_FLOWS)
            if len(answer) < MOST_FLOWS:
                return flows
            offset += MOST_FLOWS

    async def _ask(self, request: Request) -> Any:
        if self.link.clock_offset is None:
            await self.link.measure_offset()
        return await self.link.send(request)
