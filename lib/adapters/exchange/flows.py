"""Reading money in and out of an account: Binance's wallet endpoints, page by page and window by window.

They need no more than the key's permission to read. Deposits of national currencies have a history of their own that is
not read: they show as a break that an operator classifies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from lib.adapters.exchange.flow_answers import to_deposits, to_withdrawals
from lib.adapters.exchange.link import Link, Request
from lib.balances.flows import CashFlow
from lib.units import to_milliseconds

# Binance counts the wallet's endpoints each by itself, apart from the spot API's weight; the tightest, withdrawals,
# allows an account ten requests a minute. A reading takes one, the first two.
WEIGHT = 1
MOST_ROWS = 1000
WINDOW = timedelta(days=89)  # Binance: less than 90 days between startTime and endTime
AHEAD = timedelta(minutes=1)  # what is booked while we ask belongs to the answer

Ask = Callable[[Request], Awaitable[Any]]


async def fetch_cash_flows(link: Link, account: str, since: datetime, ask: Ask) -> Sequence[CashFlow]:
    """Return the deposits and withdrawals of the spot wallet since then, by time.

    Args:
        link: The account's connection.
        account: Our name of it.
        since: UTC.
        ask: Sends a signed request over that link.
    """
    flows: dict[str, CashFlow] = {}
    now = link.exchange_now()
    while since < now:
        until = min(since + WINDOW, now + AHEAD)
        window = {"startTime": to_milliseconds(since), "endTime": to_milliseconds(until)}
        for what, endpoint, check in (
            ("deposits", link.client.sapiGetCapitalDepositHisrec, to_deposits),
            ("withdrawals", link.client.sapiGetCapitalWithdrawHistory, to_withdrawals),
        ):
            subject = f"{what} of {account}"
            for page in await _ask_pages(subject, endpoint, window, ask):
                found = check(page, where=f"{link.name} {subject}", account=account, limit=MOST_ROWS)
                flows |= {flow.flow_id: flow for flow in found}
        since = until
    return sorted(flows.values(), key=lambda flow: (flow.at, flow.flow_id))


async def _ask_pages(
    what: str, endpoint: Callable[[Mapping[str, Any]], Any], window: Mapping[str, Any], ask: Ask
) -> list[Any]:
    """Ask until a page is not full; whether each is a list at all is for the check of its rows."""
    pages: list[Any] = []
    while True:
        params = {**window, "limit": MOST_ROWS, "offset": MOST_ROWS * len(pages)}
        page = await ask(Request(what, WEIGHT, partial(endpoint, params)))
        pages.append(page)
        if not isinstance(page, list) or len(page) < MOST_ROWS:
            return pages
