"""What `fks status` says of the halt, of orders, plans, breaks and messages; and of what it cannot read."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import Engine, text

from deployments.display import Display
from deployments.status import render_age, show_status
from lib.adapters.database.engine import make_engine
from lib.adapters.database.findings import DatabaseFindings
from lib.adapters.database.health import DatabaseHealth
from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.orders import DatabaseOrders
from lib.adapters.database.protections import DatabaseProtections
from lib.adapters.database.rebalancing import DatabasePlans
from lib.execution.findings import classify
from lib.execution.halt import VARIABLE
from lib.execution.orders import Attempt, OrderKind, OrderReport, OrderState
from lib.execution.protection import Protection
from lib.health.figures import HealthRecord
from lib.notifications.messages import MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.fills import Side
from lib.settings import load_settings
from tests.allocation.conftest import make_plan
from tests.execution.test_orders import intend
from tests.health.samples import NOW, SERVER, STORE
from tests.prefect_servers import PrefectServer, free_port


@dataclass
class Home:
    """A folder in which no stack runs, beside a database that does."""

    folder: Path
    engine: Engine
    database_url: str

    def show(self, **settings: Any) -> str:
        """Return what it says, with every run of white space as one blank."""
        shown = io.StringIO()
        given = {"database_url": SecretStr(self.database_url), "exchange": "binance"} | settings
        assert not show_status(load_settings(**given), self.folder, Display(Console(file=shown, width=400)))
        return re.sub(r"\s+", " ", shown.getvalue())


@pytest.fixture
def stored(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    engine = make_engine(database_url)
    with engine.begin() as connection:
        for name in ("main", "other"):
            connection.execute(text("INSERT INTO accounts VALUES (:n, 'live', 'hand', 'USDT', now())"), {"n": name})
    yield Home(tmp_path, engine, database_url)
    engine.dispose()


def test_without_anything_it_says_so_and_what_it_cannot_read(stored: Home) -> None:
    shown = stored.show()
    assert f"Nothing runs in {stored.folder}. `fks up` starts it." in shown
    assert "Whether trading is halted cannot be read: no Prefect server runs." in shown
    assert "No open order, no open rebalance plan, no position to be sold, no break." in shown
    assert "No message of the last three days is undelivered." in shown
    assert "cannot be read: their database does not run" in stored.show(database_url=None)
    nowhere = SecretStr(f"postgresql://fks:hunter2@127.0.0.1:{free_port()}/fks")
    refused = stored.show(database_url=nowhere)
    assert "Orders, plans, breaks and messages cannot be read: " in refused
    assert "hunter2" not in refused


def test_a_database_of_another_version_is_named_with_the_remedy(stored: Home) -> None:
    with stored.engine.begin() as connection:
        connection.execute(text("ALTER TABLE breaks RENAME COLUMN difference TO older"))
    assert "lacks tables or columns of this version of FKS. `fks up` or `fks apply`" in stored.show()


def test_what_is_under_way_is_listed_with_its_age(stored: Home) -> None:
    now = datetime.now(UTC)
    order = intend(account="main", created_at=now - timedelta(minutes=12), plan="plan 7 (abc)")
    with DatabaseOrders(stored.engine).open_desk("main") as desk:
        new = desk.add(order)
        attempt = Attempt(1, now)
        desk.save(new, replace(new, state=OrderState.ATTEMPTED, attempts=(attempt,), changed_at=now))
    plan = replace(make_plan(), account="other")
    with DatabasePlans(stored.engine).open_plans("other") as book:
        book.add(plan, code_version="1", reasons=(), now=now - timedelta(hours=3))
    with stored.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO breaks VALUES ('main', 'SOL', :seen, :seen, :seen, NULL, 'open', 5, 3, -2, -200, 'x'),"
                " ('main', 'BTC', :seen, :seen, NULL, NULL, 'suspected', 1, 2, 1, 1, 'x')"
            ),
            {"seen": now - timedelta(days=3)},
        )
        connection.execute(
            text(
                "INSERT INTO position_exits (account, symbol, opened_by, kind, policy, wanted_at, state, attempts,"
                " note, changed_at) VALUES ('main', 'SOL/USDT', '1', 'stop_loss', 'exit', :at, 'wanted', 2,"
                " 'the book is empty', :at), ('main', 'BTC/USDT', '1', 'stop_loss', 'exit', :at, 'done', 1, '', :at)"
            ),
            {"at": now - timedelta(hours=2)},
        )
    report = OrderReport(
        "web_1", "17", "SOL/USDT", Side.BUY, "LIMIT", OrderState.OPEN, Decimal(2), Decimal(0), Decimal(90)
    )
    DatabaseFindings(stored.engine).keep(
        "main", [classify("main", report)], is_complete=True, now=now - timedelta(minutes=5), compose=lambda _: ()
    )
    outbox = NotificationStore(stored.engine)
    for number in range(7):
        outbox.record(compose(MessageType.RISK, Severity.WARNING, f"message {number}", "x", key=str(number), at=now))
    shown = stored.show()
    assert f"main attempted 12 min buy {order.quantity.normalize():f} BTC/USDT 0 plan 7 (abc) fks-" in shown
    assert "other plan 1 (" in shown
    assert "proposed 3 h 0 of 2 legs settled" in shown
    assert "main SOL/USDT 2 h stop loss exit wanted (2 runs) the book is empty" in shown
    assert "BTC/USDT 2 h" not in shown
    assert "main -2 SOL -200.00 USDT 3 days" in shown
    assert "BTC 1" not in shown
    assert "main by hand 5 min buy 2 SOL/USDT 17 web_1" in shown
    assert "Nobody has been told of 7 messages:" in shown
    assert shown.count("old: ⚠️ message") == 5


def test_stop_losses_on_the_exchange_are_listed_and_what_rests_for_none(stored: Home) -> None:
    now = datetime.now(UTC)
    protection = Protection(
        "main", "fks-9", "SOL/USDT", "SOL/USDT#1", Decimal(2), Decimal(90), Decimal(120), now - timedelta(hours=3), now
    )
    DatabaseProtections(stored.engine).add(protection)
    order = intend(
        client_order_id="fks-9-s",
        account="main",
        symbol="SOL/USDT",
        side=Side.SELL,
        kind=OrderKind.STOP_LOSS_LIMIT,
        quantity=Decimal(2),
        stop_price=Decimal(90),
        limit_price=Decimal(88),
        created_at=now,
        plan=protection.plan,
    )
    with DatabaseOrders(stored.engine).open_desk("main") as desk:
        desk.add(order)
    with stored.engine.begin() as connection:
        for symbol, stop in (("SOL/USDT", 90), ("BTC/USDT", 40000)):
            connection.execute(
                text(
                    "INSERT INTO positions (account, symbol, opened_by, opened_at, quantity, cost_quote, average_cost,"
                    " realized_pnl_quote, fees_quote, quantity_step, stop_loss, take_profit)"
                    " VALUES ('main', :symbol, :symbol || '#1', :now, 2, 200, 100, 0, 0, 0.01, :stop, :stop + 30)"
                ),
                {"symbol": symbol, "now": now, "stop": stop},
            )
    shown = stored.show()
    assert "main SOL/USDT stop 90, target 120 of 2 3 h" in shown
    assert "sell 2 SOL/USDT when at 90, at 88 0 protection fks-9" in shown
    assert "main BTC/USDT nothing" not in shown  # its account wants none
    keys = {"kind": "live", "api_key": SecretStr("k"), "api_secret": SecretStr("s")}
    assert "main BTC/USDT nothing" in stored.show(accounts={"main": keys | {"protective_orders": True}})


def test_a_plan_waits_for_approval_while_a_run_asks_for_it(stored: Home) -> None:
    now = datetime.now(UTC)
    plans = DatabasePlans(stored.engine)
    with plans.open_plans("main") as book:
        book.add(make_plan(), code_version="1", reasons=(), now=now)
    for answer_by, words in ((now - timedelta(hours=1), "proposed"), (now + timedelta(hours=1), "waits for approval")):
        with stored.engine.begin() as connection:
            asked = "INSERT INTO rebalance_runs (run, plan_id, began_at, answer_by) VALUES (:run, 1, :now, :by)"
            connection.execute(text(asked), {"run": words, "now": now, "by": answer_by})
        assert re.search(rf"main plan 1 \(\w+\) {words} \d+ s", stored.show())


def test_the_platforms_health_is_shown_as_it_was_counted_last_with_what_is_out_of_bounds_now(stored: Home) -> None:
    assert "How runs ended is not counted yet; platform-health does it every hour." in stored.show()
    with stored.engine.begin() as connection:
        connection.execute(text("INSERT INTO strategies VALUES ('breakout', 'disabled', '', now(), 1)"))
    kept = HealthRecord(at=NOW, server=SERVER, store=STORE)
    with DatabaseHealth(stored.engine).open_book() as book:
        book.save(kept, ())
    shown = stored.show()
    assert "Tasks of the 24 hours up to 2026-03-02 09:15 UTC" in shown
    assert "check_stop_loss fast 288 3 (1.0 %) 0.4 s 1.5 s 2 min" in shown
    assert "Queues and workers cannot be read: no Prefect server runs" in shown
    assert "strategies 0 strategies of 1 give signals (at least 1)" in shown
    assert "Out of bounds: 1 figure. `fks doctor` looks for the causes." in shown


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(120)
def test_a_halt_is_shown_with_who_and_why(
    stored: Home, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server.env["PREFECT_API_URL"])
    prefect_server.api.save_variable(VARIABLE, {"reason": "prices look wrong", "who": "anna"})
    try:
        assert "Trading is HALTED: prices look wrong (anna" in stored.show()
    finally:
        prefect_server.api.delete_variable(VARIABLE)
    assert "Trading is not halted." in stored.show()


@pytest.mark.parametrize(
    ("age", "words"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_an_age_is_cut_to_a_unit_that_says_enough(age: int, words: str) -> None:
    assert render_age(timedelta(seconds=age)) == words


def test_every_quantity_is_shown_to_its_last_digit(stored: Home) -> None:
    order = intend(account="main", created_at=datetime.now(UTC), quantity=Decimal("0.00012300"))
    with DatabaseOrders(stored.engine).open_desk("main") as desk:
        desk.add(order)
    assert "buy 0.000123 BTC/USDT" in stored.show()


def test_the_newest_report_of_each_kind_is_shown_with_its_page(stored: Home) -> None:
    report = text(
        "INSERT INTO reports VALUES (:kind, '', :day, now() - :age * interval '1 hour', :line, '', :path, :flaws)"
    )
    rows = (
        ("daily", "2026-11-21", 30, "+1.00 % (+10.00 USDT)", "/home/reports/old.html", ""),
        ("daily", "2026-11-22", 6, "-2.00 % (-20.00 USDT)", "/home/reports/new.html", ""),
        ("weekly", "2026-11-22", 3, "+3.00 % (+30.00 USDT)", None, "the equity chart"),
    )
    with stored.engine.begin() as connection:
        for row in rows:
            connection.execute(report, dict(zip(("kind", "day", "age", "line", "path", "flaws"), row, strict=True)))
    shown = stored.show()
    assert "daily 6 h -2.00 % (-20.00 USDT) /home/reports/new.html weekly 3 h" in shown
    assert "+3.00 % (+30.00 USDT) (parts are missing) could not be written" in shown
    assert "old.html" not in shown
