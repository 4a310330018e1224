"""Tickets: single orders as they are proposed, decided on, and settled.

A ticket is stored before anybody is asked, so that what is sent is what was reviewed. One run writes one ticket and
sends at most one order, which bears the ticket's id: a run that is started anew goes on with the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from lib.allocation.stores import Approval
from lib.execution.orders import Order, make_client_order_id
from lib.notifications.messages import Message
from lib.portfolio.fills import Side
from lib.portfolio.money import format_number
from lib.strategy.stores import SignalKey


@dataclass(frozen=True)
class Ticket:
    """A proposed order; what was reviewed never changes.

    Attributes:
        account: Whose.
        client_order_id: Names it, and the order that it becomes.
        symbol: "BTC/USDT".
        side: Buy opens or adds to a position, sell closes it or a part.
        quantity: Base; a sell takes less where less is there.
        reference_price: Quote per base; what it was decided at.
        why: For people.
        created_at: UTC.
        code_version: Of the code that proposed it.
        stop_loss: Of the position that a buy opens, quote per base; None: what it has, or the account's own rule.
        take_profit: Likewise.
        signal: Which BUY it follows.
        exit_id: Of the exit that a stop loss or take profit wanted (`lib.portfolio.exits`).
        opened_by: Of the position that a sell was reviewed for; another one is not sold. None where it is not known.
        approval: The decision; None before it.
    """

    account: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    reference_price: Decimal
    why: str
    created_at: datetime
    code_version: str
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    signal: SignalKey | None = None
    exit_id: int | None = None
    opened_by: str | None = None
    approval: Approval | None = None

    @property
    def name(self) -> str:
        """For messages: "buy 0.5 BTC/USDT (demo)"."""
        return f"{self.side} {format_number(self.quantity)} {self.symbol} ({self.account})"

    @property
    def plan(self) -> str:
        """What its order names as its plan."""
        return f"ticket {self.client_order_id}"

    @property
    def base(self) -> str:
        """The asset bought or sold."""
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """The asset it is paid in."""
        return self.symbol.partition("/")[2]


@dataclass(frozen=True)
class Executed:
    """A ticket whose order is known."""

    ticket: Ticket
    order: Order


def make_ticket_id(account: str, run: str) -> str:
    """Return the name of the one ticket and order of a run."""
    return make_client_order_id(account, f"run {run}", "order")


class TicketStore(Protocol):
    """Tickets of all accounts. Every method raises `DatabaseUnavailable`; repeating it is then safe."""

    def add(self, ticket: Ticket) -> Ticket:
        """Store a ticket, with its decision if it has one, unless one of its id is there; return the stored one."""
        ...

    def load(self, account: str, client_order_id: str) -> Ticket | None:
        """Return a ticket, if there is one of that id."""
        ...

    def decide(self, ticket: Ticket, approval: Approval) -> Ticket:
        """Store the decision unless there is one, and return the ticket as it is stored."""
        ...

    def load_of_signal(self, account: str, signal: SignalKey) -> Sequence[Executed]:
        """Return the account's tickets of a signal that have an order."""
        ...

    def load_unsettled(self, account: str) -> Sequence[Executed]:
        """Return the tickets that have an order and are not settled, by creation."""
        ...

    def settle(self, ticket: Ticket, now: datetime, message: Message | None = None) -> bool:
        """Note that everything about a ticket is done, and record the message that tells so, both or nothing.

        False, and nothing stored, when it was settled before.
        """
        ...
