"""Orders on the exchange that are not ours, and ours that it does not have: found, told once, and left alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Row

from lib.adapters.database.findings import DatabaseFindings
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.errors import AllItemsFailed
from lib.execution.orders import OrderKind, OrderState
from lib.execution.reconciling import ReconcilingParts, reconcile_orders
from lib.execution.reconciling_report import ReconciliationResult
from lib.portfolio.fills import BookedFill
from lib.results import Status
from tests.execution.conftest import KEY, SECRET, Bench
from tests.simulator.signed_client import SignedClient


@dataclass
class Desk:
    """The account, somebody else who trades on it, and what the ledger has imported."""

    bench: Bench
    other: SignedClient
    asked_again: list[str] = field(default_factory=list)
    may_be_foreign: bool = True

    async def reconcile(self, *, minutes: float = 15) -> ReconciliationResult:
        await self.bench.clock.wait(minutes * 60)
        parts = ReconcilingParts(
            orders=self.bench.store,
            findings=DatabaseFindings(self.bench.engine),
            venue=self.bench.orders,
            symbols={"BTC/USDT"},
            import_again=self.asked_again.extend,
            may_be_foreign=self.may_be_foreign,
        )
        return await reconcile_orders(account="main", parts=parts, clock=self.bench.clock)

    async def import_fills(self, *, last: int | None = None) -> None:
        """Import all fills, or the first ones, as update_positions does."""
        told = await self.bench.account.fetch_fills("BTC/USDT", 0)
        with DatabasePortfolioStore(self.bench.engine).open_books("main") as books:
            stored = books.load_stored(told)
            fresh = [one for one in told if one.key not in stored and (last is None or one.fill_id <= last)]
            books.add_fills([BookedFill(one, None, "", Decimal("0.00001")) for one in fresh], self.bench.clock.now())

    def place(self, name: str, price: str = "40000", kind: str = "LIMIT") -> None:
        limit = {"price": price, "timeInForce": "GTC"} if kind == "LIMIT" else {}
        self.other.post(
            "/order", symbol="BTCUSDT", side="BUY", type=kind, quantity="0.01", newClientOrderId=name, **limit
        )

    def titles(self) -> list[str]:
        return [row.title for row in self.messages()]

    def messages(self) -> list[Row[Any]]:
        return self.bench.query("SELECT * FROM notifications ORDER BY notification_id")

    def findings(self) -> list[tuple[str, str, bool]]:
        rows = self.bench.query("SELECT * FROM order_findings ORDER BY first_seen_at, finding_id")
        return [(row.kind, row.client_order_id, row.ended_at is None) for row in rows]


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench, SignedClient(bench.simulator, KEY, SECRET))


@pytest.mark.parametrize(
    ("name", "kind", "severity", "title"),
    [
        ("web_8f3a", "by_hand", "info", "⚠️ Order placed by hand on main"),
        ("x-R4BD3S82-1", "by_program", "warning", "⚠️ Another program trades on main"),
        ("fks-000000000000000000000000", "lookalike", "urgent", "⚠️ Order of another FKS on main"),
    ],
)
async def test_an_open_order_of_somebody_else_is_classified_told_once_and_left_alone(
    desk: Desk, name: str, kind: str, severity: str, title: str
) -> None:
    desk.place(name)
    first = await desk.reconcile()
    await desk.reconcile()
    (message,) = desk.messages()
    assert (message.severity, message.title) == (severity, title)
    assert f"buy 0.01 BTC/USDT at 40,000 (order 3, {name})" in message.body
    assert "What to do: " in message.body
    assert desk.findings() == [(kind, name, True)]
    assert first.counts["foreign orders"] == 1
    assert name in "".join(first.render_tables())
    assert desk.bench.booked() == [(name, "NEW", Decimal(0))]
    desk.other.delete("/order", symbol="BTCUSDT", origClientOrderId=name)
    last = await desk.reconcile()
    assert (last.status, last.items[0].detail) == (Status.OK, "agree with the exchange")
    assert desk.findings() == [(kind, name, False)]
    assert len(desk.messages()) == 1


async def test_a_filled_order_of_somebody_else_is_told_once_and_what_was_filled_before_the_first_time_is_history(
    desk: Desk,
) -> None:
    desk.place("web_1", kind="MARKET")
    await desk.import_fills()
    await desk.reconcile()
    assert desk.findings() == []
    desk.place("web_2", kind="MARKET")
    desk.place("web_3", price="40000")
    await desk.import_fills()
    await desk.reconcile()
    assert desk.findings() == [("by_hand", "web_2", True), ("by_hand", "web_3", True)]
    (message,) = desk.messages()
    assert "buy 0.01 BTC/USDT at 50," in message.body
    assert "0.01 filled (order 4, web_2)" in message.body
    desk.bench.simulator.control.set_price("BTCUSDT", "39000")  # web_3 fills
    await desk.reconcile(minutes=1)
    await desk.import_fills()
    await desk.reconcile()
    assert desk.findings() == [("by_hand", "web_2", False), ("by_hand", "web_3", False)]
    assert len(desk.messages()) == 1


async def test_our_own_orders_are_no_findings_open_or_filled(desk: Desk) -> None:
    await desk.reconcile()
    resting = desk.bench.intend("fks-2", kind=OrderKind.LIMIT, limit_price=Decimal(40_000))
    async with desk.bench.open() as placing:
        await placing.place(desk.bench.intend("fks-1"))
        await placing.place(resting)
    await desk.import_fills()
    result = await desk.reconcile()
    assert (result.status, result.counts["open orders"], desk.findings()) == (Status.OK, 1, [])
    assert [line.client_order_id for line in result.orders] == ["fks-2"]
    desk.bench.simulator.control.set_price("BTCUSDT", "39000")
    result = await desk.reconcile(minutes=1)
    assert (result.counts["orders ended"], result.counts["open orders"]) == (1, 0)
    assert desk.bench.query("SELECT state FROM orders WHERE client_order_id = 'fks-2'") == [("filled",)]


async def test_what_a_killed_run_left_unknown_ends_by_itself_and_nothing_is_sent(desk: Desk) -> None:
    desk.bench.arm("timeout_after", seconds=3)
    desk.bench.rules = replace(desk.bench.rules, patience=timedelta(0))
    desk.bench.arm("status", "GET", status=500)  # the look-up fails too, and the run ends here
    async with desk.bench.open() as placing:
        left = await placing.place(desk.bench.intend())
    assert left.state is OrderState.UNKNOWN
    result = await desk.reconcile()
    assert (result.counts["orders ended"], result.status) == (1, Status.OK)
    assert [status for _, status, _ in desk.bench.booked()] == ["FILLED"]
    assert desk.bench.fills_agree()


async def test_what_was_never_sent_waits_for_its_flow_and_is_told_once(desk: Desk) -> None:
    with desk.bench.store.open_desk("main") as orders:
        orders.add(desk.bench.intend())
    assert (await desk.reconcile(minutes=5)).counts["order findings"] == 0
    for _ in range(2):
        result = await desk.reconcile()
    assert (result.status, result.counts["open orders"]) == (Status.PARTIAL, 1)
    assert (desk.findings(), desk.bench.booked()) == ([("left", "fks-1", True)], [])
    assert desk.titles() == ["⚠️ An order was never sent on main"]
    async with desk.bench.open() as placing:
        await placing.resume(may_send=True)
    await desk.reconcile()
    assert desk.findings() == [("left", "fks-1", False)]


async def test_an_order_that_the_exchange_has_lost_is_urgent(desk: Desk) -> None:
    async with desk.bench.open() as placing:
        await placing.place(desk.bench.intend(kind=OrderKind.LIMIT, limit_price=Decimal(40_000)))
    desk.bench.query("UPDATE order_intents SET symbol = 'ETH/USDT'; UPDATE orders SET order_id = '77'")
    desk.other.delete("/order", symbol="BTCUSDT", origClientOrderId="fks-1")
    for _ in range(2):
        result = await desk.reconcile()
    assert result.status is Status.PARTIAL
    (message,) = desk.messages()
    assert (message.severity, message.title) == ("urgent", "⚠️ The exchange has lost an order on main")
    assert "it was open when it was last seen, with the exchange's number 77" in message.body


async def test_a_run_at_work_is_left_alone_visibly_and_what_it_places_is_no_finding(desk: Desk) -> None:
    await desk.reconcile()
    desk.bench.arm("timeout_after", seconds=3)
    desk.bench.arm("status", "GET", status=500)
    desk.bench.rules = replace(desk.bench.rules, patience=timedelta(0))
    async with desk.bench.open() as placing:
        await placing.place(desk.bench.intend("fks-1", kind=OrderKind.LIMIT, limit_price=Decimal(40_000)))
        result = await desk.reconcile()
    (item,) = result.items
    assert (result.status, item.status) == (Status.SKIPPED, Status.SKIPPED)
    assert "Another run places orders of account main now" in item.detail
    assert desk.findings() == []


async def test_the_lock_is_not_taken_where_nothing_is_behind(desk: Desk) -> None:
    async with desk.bench.open() as placing:
        await placing.place(desk.bench.intend(kind=OrderKind.LIMIT, limit_price=Decimal(40_000)))
        result = await desk.reconcile()
    assert (result.status, result.counts["open orders"]) == (Status.OK, 1)


async def test_a_fill_of_ours_whose_number_is_not_stored_yet_is_no_finding(desk: Desk) -> None:
    await desk.reconcile()
    async with desk.bench.open() as placing:
        await placing.place(desk.bench.intend())
    await desk.import_fills()
    desk.bench.query("UPDATE orders SET state = 'attempted', order_id = NULL")  # as while its answer is on its way
    async with desk.bench.open():
        await desk.reconcile()
    assert desk.findings() == []


async def test_an_exchange_that_does_not_answer_ends_no_finding(desk: Desk) -> None:
    desk.place("web_1")
    await desk.reconcile()
    desk.bench.arm("status", "GET", "/api/v3/openOrders", status=500, count=0)
    with pytest.raises(AllItemsFailed, match="open orders"):
        await desk.reconcile()
    assert desk.findings() == [("by_hand", "web_1", True)]


async def test_fills_that_the_ledger_lacks_are_asked_for_again_and_told_when_they_stay_away(desk: Desk) -> None:
    await desk.reconcile()
    async with desk.bench.open() as placing:
        await placing.place(desk.bench.intend())
    result = await desk.reconcile()
    assert (desk.asked_again, result.status, desk.titles()) == (["BTC/USDT"], Status.OK, [])
    await desk.reconcile(minutes=20)
    assert desk.titles() == ["⚠️ Fills are missing in the ledger of main"]
    await desk.import_fills()
    await desk.reconcile()
    assert desk.findings() == [("not_imported", "fks-1", False)]


async def test_fills_that_contradict_each_other_are_urgent(desk: Desk) -> None:
    await desk.reconcile()
    async with desk.bench.open() as placing:
        await placing.place(desk.bench.intend())
    await desk.import_fills()
    desk.bench.query("UPDATE fills SET quantity = quantity * 2")
    await desk.reconcile()
    (message,) = desk.messages()
    assert (message.severity, message.title) == ("urgent", "⚠️ The fills of an order contradict each other on main")


async def test_on_a_paper_account_nobody_else_trades(desk: Desk) -> None:
    desk.may_be_foreign = False
    desk.place("web_1")
    result = await desk.reconcile()
    assert (result.status, desk.findings()) == (Status.OK, [])


async def test_many_orders_of_others_come_as_one_message(desk: Desk) -> None:
    for number in range(12):
        desk.place(f"bot-{number}")
    await desk.reconcile()
    (message,) = desk.messages()
    assert message.body.count("buy 0.01 BTC/USDT at 40,000") == 10
    assert "and 2 more orders" in message.body
