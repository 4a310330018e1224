"""The checks with everything they ask, against the simulator and a real database."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from lib.adapters.database.budget import BudgetStore
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.errors import CheckRefused, ExchangeUnavailable
from lib.execution.checks import OrderLimits
from lib.execution.gate import Gate
from lib.execution.orders import OrderState
from tests.execution.conftest import KEY, Bench

SYMBOL = (
    "INSERT INTO symbols (name, base, quote, asset_group, status, price_step, quantity_step, min_quantity,"
    " min_notional, status_since, refreshed_at) VALUES ('BTC/USDT', 'BTC', 'USDT', 'main', 'trading', 0.01,"
    " 0.00001, 0.00001, 5, now(), now())"
)


@pytest.fixture
async def gate(bench: Bench) -> Any:
    async def free() -> str | None:
        return None

    venue = Venue("simulator", url=bench.simulator.url, timeout_seconds=5)
    books = make_exchange(venue, ledger=BudgetStore(bench.engine), clock=bench.clock, sleep=bench.clock.wait)
    assert isinstance(books, BinanceExchange)
    bench.query(SYMBOL)
    yield Gate(
        account=bench.account,
        venue=bench.orders,
        books=books,
        market=DatabaseMarketFacts(bench.engine),
        store=bench.store,
        watched={"BTC/USDT"},
        halted=free,
        limits=OrderLimits(max_day_notional=Decimal(1_200)),
        clock=bench.clock,
    )
    await books.close()


async def test_a_sound_order_passes_and_the_days_limit_counts_what_was_placed(bench: Bench, gate: Gate) -> None:
    async with bench.open(check=gate.check) as placing:
        first, second, third = [await placing.place(bench.intend(f"fks-{number}")) for number in range(3)]
    assert [order.state for order in (first, second)] == [OrderState.FILLED] * 2
    assert (third.state, third.refusal) == (OrderState.REJECTED, "day_limit")
    assert len(bench.booked()) == 2


async def test_a_key_that_may_withdraw_is_refused(bench: Bench, gate: Gate) -> None:
    bench.simulator.control.request("PATCH", "/accounts", api_key=KEY, enable_withdrawals=True)
    with pytest.raises(CheckRefused) as caught:
        await gate.check(bench.intend())
    assert caught.value.code == "key_may_withdraw"


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("unknown_symbol", {"symbol": "ETH/USDT"}),
        ("not_enough", {"quantity": Decimal(1)}),
        ("price_moved", {"reference_price": Decimal(40_000)}),
    ],
)
async def test_what_is_known_now_decides(bench: Bench, gate: Gate, code: str, changes: dict[str, Any]) -> None:
    bench.simulator.control.request("POST", "/withdraw", api_key=KEY, asset="USDT", amount="99000")
    with pytest.raises(CheckRefused) as caught:
        await replace(gate, limits=OrderLimits()).check(bench.intend(**changes))
    assert caught.value.code == code


async def test_a_halt_decides_alone_and_also_when_it_comes_during_the_questions(bench: Bench, gate: Gate) -> None:
    answers = iter(["by hand", None, "meanwhile"])

    async def halted() -> str | None:
        return next(answers)

    for words in ("by hand", "meanwhile"):
        with pytest.raises(CheckRefused, match=words):
            await replace(gate, halted=halted).check(bench.intend())


async def test_without_answers_nothing_is_decided(bench: Bench, gate: Gate) -> None:
    bench.arm("status", "GET", "/api/v3/depth", status=500)
    with pytest.raises(ExchangeUnavailable):
        await gate.check(bench.intend())
