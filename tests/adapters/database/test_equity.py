"""Equity and cash flows as they were stored, as the drawdown reads them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.equity import DatabaseEquity
from lib.risk.drawdown import EquityPoint, calc_drawdown
from tests.portfolio.samples import at

ACCOUNTS = ("demo", "other")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        for account in ACCOUNTS:
            connection.execute(
                text("INSERT INTO accounts VALUES (:name, 'live', 'simulator', 'USDT', now())"), {"name": account}
            )
    yield engine
    engine.dispose()


def snapshot(
    connection: Connection,
    minute: int,
    equity: str,
    *,
    account: str = "demo",
    unexplained: str = "0",
    unpriced: str = "",
) -> None:
    connection.execute(
        text(
            "INSERT INTO balance_history (account, at, cash_free, cash_locked, positions_value, other_value, equity,"
            " unexplained_value, unrealized_pnl, realized_pnl, day_flows, unpriced)"
            " VALUES (:account, :at, :equity, 0, 0, 0, :equity, :unexplained, 0, 0, 0, :unpriced)"
        ),
        {
            "account": account,
            "at": at(minute),
            "equity": Decimal(equity),
            "unexplained": Decimal(unexplained),
            "unpriced": unpriced.split(),
        },
    )


def flow(connection: Connection, minute: int | None, value: str, kind: str = "deposit", account: str = "demo") -> None:
    """A cash flow that the snapshot of that minute counted; None: not counted yet."""
    connection.execute(
        text(
            "INSERT INTO cash_flows (account, flow_id, kind, source, asset, amount, at, is_booked, value_quote,"
            " priced_by, counted_at, note, recorded_at)"
            " VALUES (:account, gen_random_uuid()::text, :kind, 'exchange', 'USDT', :value, :at, true, :value,"
            " 'quote', :counted_at, '', :at)"
        ),
        {
            "account": account,
            "kind": kind,
            "value": Decimal(value),
            "at": at(0),
            "counted_at": at(minute) if minute is not None else None,
        },
    )


def load(engine: Engine, since: int = 0) -> list[EquityPoint]:
    return list(DatabaseEquity(engine).load_equity("demo", at(since)))


def test_what_was_paid_in_and_out_comes_with_the_snapshot_that_counted_it(engine: Engine) -> None:
    with engine.begin() as connection:
        for minute, equity in ((2, "120"), (0, "100"), (1, "150")):
            snapshot(connection, minute, equity)
        flow(connection, 1, "50")
        flow(connection, 1, "30")
        flow(connection, 1, "-30", "withdrawal")
    points = load(engine)
    assert points == [
        EquityPoint(at(0), Decimal(100)),
        EquityPoint(at(1), Decimal(150), Decimal(50)),
        EquityPoint(at(2), Decimal(120)),
    ]
    drawdown = calc_drawdown(points)
    assert drawdown is not None
    assert drawdown.ratio == Decimal("-0.2")


def test_other_accounts_older_snapshots_and_flows_that_wait_do_not_count(engine: Engine) -> None:
    with engine.begin() as connection:
        for minute in (0, 5, 10):
            snapshot(connection, minute, "100")
        snapshot(connection, 7, "900", account="other")
        flow(connection, 0, "70")
        flow(connection, None, "70")
        flow(connection, 10, "70", account="other")
        flow(connection, 10, "5", "other")  # interest is a profit
    assert load(engine, since=5) == [EquityPoint(at(5), Decimal(100)), EquityPoint(at(10), Decimal(100))]


def test_what_the_ledger_does_not_explain_is_neither_a_peak_nor_a_fall(engine: Engine) -> None:
    with engine.begin() as connection:
        snapshot(connection, 0, "100")
        snapshot(connection, 1, "150", unexplained="50")
    assert [point.equity for point in load(engine)] == [100, 100]


def test_a_snapshot_without_a_positions_price_is_left_out_and_its_flows_go_to_the_next(engine: Engine) -> None:
    with engine.begin() as connection:
        snapshot(connection, 0, "100")
        snapshot(connection, 1, "60", unpriced="AIRDROP SOL/USDT")
        snapshot(connection, 2, "110", unpriced="AIRDROP")
        flow(connection, 1, "10")
    assert load(engine) == [EquityPoint(at(0), Decimal(100)), EquityPoint(at(2), Decimal(110), Decimal(10))]


def test_an_account_without_a_history_has_no_points(engine: Engine) -> None:
    assert load(engine) == []
