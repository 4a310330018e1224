"""A process killed at each point of the protocol, with each kind of lost answer; the next one finishes its work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from lib.execution.orders import OrderIntent
from lib.portfolio.fills import Side
from tests.execution.lives import PROCESSES
from tests.execution.test_orders import intend
from tests.execution.worker import POINTS, SECRET, Task, run
from tests.simulators import RunningSimulator, running_simulator

ORDER = "/api/v3/order"


@pytest.fixture
def exchange() -> Iterator[RunningSimulator]:
    """A simulator on the machine's clock, as processes need it."""
    with running_simulator() as simulator:
        simulator.control.scenario("flat")
        simulator.control.set_price("BTCUSDT", "50000")
        held = {"USDT": "100000", "BTC": "2"}
        simulator.control.request("POST", "/accounts", api_key="main", api_secret=SECRET, balances=held)
        yield simulator


def book(exchange: RunningSimulator) -> dict[str, Any]:
    account: dict[str, Any] = exchange.control.request("GET", "/books")["accounts"]["main"]
    return account


def wait_for(condition: Callable[[], bool]) -> None:
    """Ask again and again; each question to the simulator takes its time, which paces this loop."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come"


def start(task: Task) -> Any:
    worker = PROCESSES.Process(target=run, args=(task,), daemon=True)
    worker.start()
    return worker


def prove(exchange: RunningSimulator, engine: Engine, intent: OrderIntent) -> None:
    """Exactly one order, whole, and our fills and the cash are the exchange's."""
    there = book(exchange)
    [order] = there["orders"]
    assert (order["client_order_id"], order["status"]) == (intent.client_order_id, "FILLED")
    assert Decimal(order["executed"]) == intent.quantity
    theirs = {(trade["trade_id"], Decimal(trade["quantity"]), Decimal(trade["fee"])) for trade in there["trades"]}
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT fill_id, quantity, fee, price FROM order_fills")).all()
        [state] = connection.scalars(text("SELECT state FROM orders"))
    assert {tuple(row[:3]) for row in rows} == theirs
    assert state == "filled"
    paid = sum(row.quantity * row.price for row in rows)
    received = sum(row.quantity - row.fee for row in rows)
    assert Decimal(there["balances"]["USDT"]["free"]) == 100_000 - paid
    assert Decimal(there["balances"]["BTC"]["free"]) == 2 + received


@pytest.fixture
def task(exchange: RunningSimulator, database_url: str, engine: Engine) -> Task:
    intent = intend(account="main", side=Side.BUY, quantity=Decimal("0.01"), created_at=datetime.now(UTC))
    return Task(database_url, exchange.url, ("main",), (intent,))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("fault", [None, "drop_before", "drop_after"])
def test_killed_at_a_point_the_next_process_finishes_the_order_exactly_once(
    exchange: RunningSimulator, engine: Engine, task: Task, point: str, fault: str | None
) -> None:
    if fault is not None:
        exchange.control.arm(fault, ORDER, "POST")
    dying = start(replace(task, die_at=point))
    dying.join(30)
    assert dying.exitcode in (-9, 0)  # a reply that never came is no point to die at
    assert dying.exitcode == -9 or (point, fault) == ("after_reply", "drop_after")
    heir = start(task)
    heir.join(30)
    assert heir.exitcode == 0
    prove(exchange, engine, task.intents[0])


def test_killed_while_the_request_is_under_way_it_is_found_by_the_next_process(
    exchange: RunningSimulator, engine: Engine, task: Task
) -> None:
    exchange.control.arm("timeout_after", ORDER, "POST", seconds=5)
    dying = start(task)
    wait_for(lambda: bool(book(exchange)["orders"]))
    dying.kill()
    dying.join(10)
    heir = start(task)
    heir.join(30)
    assert heir.exitcode == 0
    prove(exchange, engine, task.intents[0])


def test_what_a_killed_process_sent_cannot_arrive_after_it_was_found_absent(
    exchange: RunningSimulator, engine: Engine, task: Task
) -> None:
    exchange.control.arm("delay", ORDER, "POST", seconds=3)  # its attempt is valid for one second
    start(replace(task, die_at="before_outcome")).join(30)
    heir = start(task)
    heir.join(30)
    assert heir.exitcode == 0
    wait_for(lambda: exchange.control.stats()["by_route"].get(f"POST {ORDER}") == 2)  # the late one has been answered
    prove(exchange, engine, task.intents[0])
