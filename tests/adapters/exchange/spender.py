"""A second process for tests: asks one exchange for candles as often as it may, and prints what happened.

    python -m tests.adapters.exchange.spender <exchange URL> <database URL> <weight a minute> <requests>

Its clock stands still at the tests' instant, so that all of it happens in one minute.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.engine import make_engine
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.errors import FksError
from tests.adapters.exchange.peer import NOW, DrivenClock


async def spend(exchange_url: str, database_url: str, limit: int, requests: int) -> Counter[str]:
    """Return how often each outcome came: "ok", or an error's class."""
    engine = make_engine(database_url)
    venue = Venue("simulator", url=exchange_url, weight_per_minute=limit, max_wait_seconds=0)
    exchange = make_exchange(venue, ledger=BudgetStore(engine), clock=DrivenClock())

    async def ask() -> str:
        try:
            await exchange.fetch_candles("BTC/USDT", "5m", NOW)
        except FksError as error:
            return type(error).__name__
        return "ok"

    outcomes = Counter(await asyncio.gather(*(ask() for _ in range(requests))))
    await exchange.close()
    engine.dispose()
    return outcomes


if __name__ == "__main__":
    print(json.dumps(asyncio.run(spend(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
