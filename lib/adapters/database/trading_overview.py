"""What is under way with orders, plans, exits, breaks and messages, for `fks status`: so it is quick to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import ProgrammingError

from lib.adapters.database.engine import database_errors
from lib.adapters.database.notification_queue import UNDELIVERED
from lib.errors import OperatorError

MOST_MESSAGES = 50
MESSAGES_OF = timedelta(days=3)  # what is older was given up, and reported then
ORDERS = text("""
    SELECT account, client_order_id, symbol, side, intent.quantity, limit_price, stop_price, state, created_at,
        coalesce(plan, '') AS plan,
        coalesce((SELECT sum(fill.quantity) FROM order_fills AS fill
            WHERE fill.account = orders.account AND fill.client_order_id = orders.client_order_id), 0) AS executed
    FROM orders JOIN order_intents AS intent USING (account, client_order_id)
    WHERE state IN ('new', 'attempted', 'unknown', 'open', 'partially_filled')
    ORDER BY account, created_at
""")
PLANS = text("""
    SELECT account, plan_id, plan_hash, plan.state, created_at,
        EXISTS (
            SELECT FROM rebalance_runs AS run WHERE run.plan_id = plan.plan_id AND run.answer_by > :now
        ) AS is_asked,
        count(number) FILTER (WHERE leg.state <> 'skipped') AS legs,
        count(number) FILTER (WHERE leg.state = 'planned') AS left
    FROM rebalance_plans AS plan LEFT JOIN rebalance_legs AS leg USING (plan_id)
    WHERE plan.state IN ('proposed', 'approved', 'running')
    GROUP BY plan_id
    ORDER BY account, created_at
""")
PROTECTIONS = text("""
    SELECT position.account, position.symbol, position.stop_loss, position.take_profit,
        coalesce(last.is_live, false) AS is_live, last.quantity, last.created_at AS since,
        coalesce(last.note, '') AS note, coalesce(last.refusal, '') AS refusal
    FROM positions AS position
    LEFT JOIN LATERAL (
        SELECT protection.*, EXISTS (
            SELECT FROM order_intents AS intent JOIN orders USING (account, client_order_id)
            WHERE intent.account = protection.account AND intent.plan = 'protection ' || protection.protection_id
                AND orders.state IN ('new', 'attempted', 'unknown', 'open', 'partially_filled')
        ) AS is_live
        FROM order_protections AS protection
        WHERE protection.account = position.account AND protection.symbol = position.symbol
            AND protection.opened_by = position.opened_by
        ORDER BY protection.created_at DESC LIMIT 1
    ) AS last ON true
    WHERE position.closed_at IS NULL AND (position.stop_loss IS NOT NULL OR last.is_live)
    ORDER BY position.account, position.symbol
""")
REPORTS = text("""
    SELECT DISTINCT ON (report_type) report_type AS kind, created_at, headline, path, flaws <> '' AS is_flawed
    FROM reports ORDER BY report_type, created_at DESC
""")
EXITS = text("""
    SELECT account, symbol, kind, policy, state, attempts, wanted_at, note
    FROM position_exits
    WHERE state IN ('wanted', 'started')
    ORDER BY account, wanted_at
""")
BREAKS = text("""
    SELECT account, asset, difference, value_quote, quote_asset, first_seen_at
    FROM breaks JOIN accounts ON accounts.name = breaks.account
    WHERE state = 'open'
    ORDER BY account, asset
""")
FINDINGS = text("""
    SELECT account, kind, symbol, side, quantity, order_id, client_order_id, first_seen_at
    FROM order_findings
    WHERE ended_at IS NULL
    ORDER BY account, first_seen_at
""")
R = TypeVar("R")


@dataclass(frozen=True)
class OpenOrder:
    """An order of ours that has not ended; quantities are base, `plan` is empty for one of no plan."""

    account: str
    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    state: str
    created_at: datetime
    plan: str
    executed: Decimal


@dataclass(frozen=True)
class OpenPlan:
    """A rebalance plan that has not ended. `left` of its `legs` are not traded.

    `is_asked`: a run has asked for its approval, and the time to answer is not over.
    """

    account: str
    plan_id: int
    plan_hash: str
    state: str
    created_at: datetime
    is_asked: bool
    legs: int
    left: int


@dataclass(frozen=True)
class StopOnExchange:
    """A position with a stop loss, and its newest protection: `is_live` tells whether orders of it are under way.

    `quantity` is base that it is to sell, `since` when it was placed; both None where there never was one. `note` says
    why it protects only a part, `refusal` why nothing was sent.
    """

    account: str
    symbol: str
    stop_loss: Decimal | None
    take_profit: Decimal | None
    is_live: bool
    quantity: Decimal | None
    since: datetime | None
    note: str
    refusal: str


@dataclass(frozen=True)
class OpenExit:
    """A position that its account's policy wants sold: see `lib.portfolio.exits`."""

    account: str
    symbol: str
    kind: str
    policy: str
    state: str
    attempts: int
    wanted_at: datetime
    note: str


@dataclass(frozen=True)
class OpenBreak:
    """A difference that nothing explains: what there is more of an asset than expected, and its value, if known."""

    account: str
    asset: str
    difference: Decimal
    value_quote: Decimal | None
    quote_asset: str
    first_seen_at: datetime


@dataclass(frozen=True)
class OpenFinding:
    """An order that differs between the exchange and us; `lib.execution.findings` says what each kind is."""

    account: str
    kind: str
    symbol: str
    side: str
    quantity: Decimal
    order_id: str
    client_order_id: str
    first_seen_at: datetime


@dataclass(frozen=True)
class WaitingMessage:
    """A message that no channel has confirmed; `errors` are the channels' reasons."""

    severity: str
    title: str
    created_at: datetime
    errors: tuple[str, ...]


@dataclass(frozen=True)
class LastReport:
    """The newest report of its kind; `path` is its page, None where it could not be written."""

    kind: str
    created_at: datetime
    headline: str
    path: str | None
    is_flawed: bool


@dataclass(frozen=True)
class TradingOverview:
    """Everything that is under way; of the messages at most `MOST_MESSAGES`, urgent ones first, then the newest."""

    orders: tuple[OpenOrder, ...]
    plans: tuple[OpenPlan, ...]
    protections: tuple[StopOnExchange, ...]
    exits: tuple[OpenExit, ...]
    breaks: tuple[OpenBreak, ...]
    findings: tuple[OpenFinding, ...]
    messages: tuple[WaitingMessage, ...]
    reports: tuple[LastReport, ...]


def load_trading_overview(engine: Engine, now: datetime) -> TradingOverview:
    """Return what is under way.

    Raises:
        DatabaseUnavailable: The connection is refused or lost.
        OperatorError: The database is not of this version.
    """
    recent = {"since": now - MESSAGES_OF, "limit": MOST_MESSAGES}
    try:
        with database_errors("reading what is under way"), engine.connect() as connection:
            return TradingOverview(
                orders=_load(connection, ORDERS, OpenOrder),
                plans=_load(connection, PLANS, OpenPlan, {"now": now}),
                protections=_load(connection, PROTECTIONS, StopOnExchange),
                exits=_load(connection, EXITS, OpenExit),
                breaks=_load(connection, BREAKS, OpenBreak),
                findings=_load(connection, FINDINGS, OpenFinding),
                messages=tuple(
                    WaitingMessage(row.severity, row.title, row.created_at, tuple(row.errors or ()))
                    for row in connection.execute(UNDELIVERED, recent)
                ),
                reports=_load(connection, REPORTS, LastReport),
            )
    except ProgrammingError as error:
        raise OperatorError(
            "The database lacks tables or columns of this version of FKS. `fks up` or `fks apply` brings it up to date."
        ) from error


def _load(
    connection: Connection, query: TextClause, record: type[R], values: Mapping[str, Any] | None = None
) -> tuple[R, ...]:
    return tuple(record(**row._mapping) for row in connection.execute(query, values or {}))
