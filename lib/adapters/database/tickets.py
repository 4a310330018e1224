"""Tickets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, select, update
from sqlalchemy.dialects.postgresql import insert

from lib.adapters.database.engine import database_errors
from lib.adapters.database.message_rows import record_message
from lib.adapters.database.order_rows import INTENTS, load_orders
from lib.adapters.database.tables.tickets import TICKETS
from lib.allocation.stores import Approval, Decision
from lib.execution.tickets import Executed, Ticket
from lib.notifications.messages import Message
from lib.portfolio.fills import Side
from lib.strategy.stores import SignalKey

SAME_TICKET = and_(INTENTS.c.account == TICKETS.c.account, INTENTS.c.client_order_id == TICKETS.c.client_order_id)
OWN = ("symbol", "quantity", "reference_price", "why", "created_at", "code_version")
OWN_OPTIONAL = ("stop_loss", "take_profit", "exit_id", "opened_by")


class DatabaseTickets:
    """The `TicketStore` of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, ticket: Ticket) -> Ticket:
        """See `TicketStore`."""
        with database_errors(f"storing the ticket {ticket.name}"), self._engine.begin() as connection:
            connection.execute(insert(TICKETS).values(_to_row(ticket)).on_conflict_do_nothing())
            return _read(connection, _is_it(ticket))

    def load(self, account: str, client_order_id: str) -> Ticket | None:
        """See `TicketStore`."""
        is_it = and_(TICKETS.c.account == account, TICKETS.c.client_order_id == client_order_id)
        with database_errors(f"reading ticket {client_order_id}"), self._engine.connect() as connection:
            row = connection.execute(select(TICKETS).where(is_it)).mappings().one_or_none()
            return _to_ticket(row) if row else None

    def decide(self, ticket: Ticket, approval: Approval) -> Ticket:
        """See `TicketStore`."""
        with database_errors(f"deciding on the ticket {ticket.name}"), self._engine.begin() as connection:
            undecided = TICKETS.c.decision.is_(None)
            connection.execute(update(TICKETS).where(_is_it(ticket), undecided).values(_to_decision(approval)))
            return _read(connection, _is_it(ticket))

    def load_of_signal(self, account: str, signal: SignalKey) -> Sequence[Executed]:
        """See `TicketStore`."""
        is_of = and_(
            TICKETS.c.symbol == signal.symbol,
            TICKETS.c.signal_timeframe == signal.timeframe,
            TICKETS.c.signal_opened_at == signal.opened_at,
            TICKETS.c.signal_strategy == signal.strategy,
        )
        return self._load_executed(account, is_of)

    def load_unsettled(self, account: str) -> Sequence[Executed]:
        """See `TicketStore`."""
        return self._load_executed(account, TICKETS.c.settled_at.is_(None))

    def settle(self, ticket: Ticket, now: datetime, message: Message | None = None) -> bool:
        """See `TicketStore`."""
        is_unsettled = TICKETS.c.settled_at.is_(None)
        with database_errors(f"settling the ticket {ticket.name}"), self._engine.begin() as connection:
            done = connection.execute(update(TICKETS).where(_is_it(ticket), is_unsettled).values(settled_at=now))
            if done.rowcount and message is not None:
                record_message(connection, message)
            return bool(done.rowcount)

    def _load_executed(self, account: str, condition: ColumnElement[bool]) -> list[Executed]:
        query = select(TICKETS).join(INTENTS, SAME_TICKET).where(TICKETS.c.account == account, condition)
        with database_errors(f"reading the tickets of {account}"), self._engine.connect() as connection:
            rows = connection.execute(query.order_by(TICKETS.c.created_at)).mappings().all()
            tickets = {row["client_order_id"]: _to_ticket(row) for row in rows}
            if not tickets:
                return []
            of_them = INTENTS.c.client_order_id.in_(list(tickets))
            orders = load_orders(connection, INTENTS.c.account == account, of_them)
        return [Executed(tickets[order.intent.client_order_id], order) for order in orders]


def _is_it(ticket: Ticket) -> ColumnElement[bool]:
    return and_(TICKETS.c.account == ticket.account, TICKETS.c.client_order_id == ticket.client_order_id)


def _read(connection: Connection, is_it: ColumnElement[bool]) -> Ticket:
    return _to_ticket(connection.execute(select(TICKETS).where(is_it)).mappings().one())


def _to_row(ticket: Ticket) -> dict[str, Any]:
    signal, approval = ticket.signal, ticket.approval
    decision = _to_decision(approval) if approval else {}
    row = {name: getattr(ticket, name) for name in (*OWN, *OWN_OPTIONAL)} | {
        "account": ticket.account,
        "client_order_id": ticket.client_order_id,
        "side": ticket.side.value,
        "signal_timeframe": signal.timeframe if signal else None,
        "signal_opened_at": signal.opened_at if signal else None,
        "signal_strategy": signal.strategy if signal else None,
    }
    return row | decision


def _to_decision(approval: Approval) -> dict[str, Any]:
    return {
        "decision": approval.decision.value,
        "decided_by": approval.who,
        "decided_at": approval.at,
        "note": approval.note,
        "max_slippage_pct": approval.max_slippage_pct,
    }


def _to_ticket(row: RowMapping) -> Ticket:
    signal = None
    if row["signal_opened_at"] is not None:
        signal = SignalKey(row["signal_timeframe"], row["signal_opened_at"], row["signal_strategy"], row["symbol"])
    return Ticket(
        account=row["account"],
        client_order_id=row["client_order_id"],
        side=Side(row["side"]),
        signal=signal,
        approval=_to_approval(row),
        **{name: row[name] for name in (*OWN, *OWN_OPTIONAL)},
    )


def _to_approval(row: RowMapping) -> Approval | None:
    if row["decision"] is None:
        return None
    return Approval(
        Decision(row["decision"]),
        row["decided_by"],
        row["decided_at"],
        row["note"] or "",
        max_slippage_pct=row["max_slippage_pct"],
    )
