"""Orders: what is wanted (intent), what was tried (attempts), what the exchange says (report), and the states between.

    new ──► attempted ──► open ──► partially_filled ──► filled | cancelled | expired
     ▲          │  │
     │          ▼  └────► (or any of these at once)
     └────── unknown ───► rejected

`new` means: nothing of it can be at the exchange. `unknown` means: it may be there; it is looked up before anything is
sent again, and only authoritative absence makes it `new` again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from lib.errors import OrderRefused
from lib.portfolio.fills import Fill, Side

ZERO = Decimal(0)
OUR_PREFIX = "fks-"  # tells our orders from those that people place on the same account
_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")  # Binance: at most 36 of these (and of . : / which not every client takes)


class OrderKind(StrEnum):
    """What an order is to do; Binance's types in upper case.

    Flows send `LIMIT` with `TimeInForce.IOC`, and as orders that rest on the exchange (`OrderIntent.may_rest`) only
    protective ones (`lib.execution.protection`): `STOP_LOSS_LIMIT`, and beside it `LIMIT_MAKER`, a limit that never
    fills at once. `MARKET` is sent by nothing but the tests of the protocol.
    """

    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS_LIMIT = "stop_loss_limit"
    LIMIT_MAKER = "limit_maker"


class TimeInForce(StrEnum):
    """How long a limit stays: until cancelled (protective orders), or what does not fill at once expires."""

    GTC = "gtc"
    IOC = "ioc"


class OrderState(StrEnum):
    """Where an order is, as far as we know."""

    NEW = "new"
    ATTEMPTED = "attempted"
    UNKNOWN = "unknown"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to it."""
        return not TRANSITIONS[self]

    @property
    def is_at_exchange(self) -> bool:
        """Whether the exchange has it and may still fill it."""
        return self in (OrderState.OPEN, OrderState.PARTIALLY_FILLED)


_ENDS = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED})
_ANSWERS = _ENDS | {OrderState.OPEN, OrderState.PARTIALLY_FILLED, OrderState.REJECTED}
TRANSITIONS: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.NEW: frozenset({OrderState.ATTEMPTED, OrderState.REJECTED}),  # rejected: by our own checks
    OrderState.ATTEMPTED: _ANSWERS | {OrderState.UNKNOWN, OrderState.NEW},  # new: it was certainly not sent
    OrderState.UNKNOWN: _ANSWERS | {OrderState.NEW},  # new: the exchange does not have it, past the grace time
    # Rejected: the exchange has forgotten it, as a person says (`Placing.end_lost`).
    OrderState.OPEN: _ENDS | {OrderState.PARTIALLY_FILLED, OrderState.REJECTED},
    OrderState.PARTIALLY_FILLED: _ENDS | {OrderState.REJECTED},
    **{state: frozenset[OrderState]() for state in (*_ENDS, OrderState.REJECTED)},
}


class IllegalTransition(Exception):  # a fault of our own, which nobody may catch and go on
    """An order would go where its state does not lead."""


def check_transition(before: OrderState, after: OrderState) -> None:
    """Refuse a change of state that the table does not have; staying is no change.

    Raises:
        IllegalTransition: See above.
    """
    if after is not before and after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing"
        raise IllegalTransition(f"An order that is {before} cannot become {after}. Expected {allowed}.")


@dataclass(frozen=True)
class OrderIntent:
    """An order that somebody wants, complete before it is stored and never changed afterwards.

    Attributes:
        client_order_id: Names it at the exchange and here; unique within the account. See `make_client_order_id`.
        account: Our account's name.
        symbol: "BTC/USDT".
        side: Buy or sell, of base.
        kind: What it is to do.
        quantity: Base, above zero, a multiple of the symbol's step.
        reference_price: Quote per base; what it was decided at. The checks before sending measure moves from it.
        created_at: UTC.
        why: For people: "rebalance: BTC is 7.1 % below its target".
        limit_price: Quote per base; of limit and stop-loss-limit orders.
        stop_price: Quote per base; of stop-loss-limit orders.
        time_in_force: Of limit orders.
        plan: The plan it belongs to, if one.
        approval: Who or what approved it, if asked.
    """

    client_order_id: str
    account: str
    symbol: str
    side: Side
    kind: OrderKind
    quantity: Decimal
    reference_price: Decimal
    created_at: datetime
    why: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    plan: str | None = None
    approval: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be an order.

        Raises:
            OrderRefused: With what was expected.
        """
        if not _ID.fullmatch(self.client_order_id):
            raise OrderRefused(
                f"Expected a client order id of 1 to 36 letters, digits, - or _, was {self.client_order_id!r}."
            )
        needs = {
            "quantity": True,
            "reference_price": True,
            "limit_price": self.kind is not OrderKind.MARKET,
            "stop_price": self.kind is OrderKind.STOP_LOSS_LIMIT,
        }
        for name, is_needed in needs.items():
            _check_number(name, getattr(self, name), self.kind, is_needed=is_needed)

    @property
    def base(self) -> str:
        """The asset bought or sold."""
        return self.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """The asset it is paid in."""
        return self.symbol.partition("/")[2]

    @property
    def may_rest(self) -> bool:
        """Whether it may stay open at the exchange; the others end at once, filled or not."""
        return self.kind is not OrderKind.MARKET and self.time_in_force is TimeInForce.GTC


def _check_number(name: str, number: Decimal | None, kind: OrderKind, *, is_needed: bool) -> None:
    words = name.replace("_", " ")
    if number is None:
        if is_needed:
            raise OrderRefused(f"Expected a {words} for a {kind} order, was none. Give one.")
        return
    if not is_needed:
        raise OrderRefused(f"A {kind} order has no {words}, was {number}. Leave it out.")
    if not number.is_finite() or number <= 0:
        raise OrderRefused(f"Expected a {words} above zero, was {number}.")


def make_client_order_id(account: str, plan: str, leg: str) -> str:
    """Return the one name of a leg of a plan: the same leg is the same order, also in a process started anew.

    >>> make_client_order_id("demo", "rebalance 17", "sell BTC/USDT")
    'fks-63a184f1b4e88b4a00084ddc'
    """
    digest = hashlib.sha256("\n".join((account, plan, leg)).encode()).hexdigest()
    return OUR_PREFIX + digest[:24]


class AttemptOutcome(StrEnum):
    """What became of one attempt to send an order.

    `pending`: no answer is stored: the process works on it, or died. `unknown`: it may have arrived. `not_sent`:
    certainly nothing of it was booked, and it may be sent again. `refused`: the exchange said no. `accepted`: it said
    yes. `absent`: it was unknown, and the exchange does not have it.
    """

    PENDING = "pending"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    ABSENT = "absent"


@dataclass(frozen=True)
class Attempt:
    """One attempt to send an order; it is stored before anything is sent.

    Attributes:
        number: From 1.
        attempted_at: UTC. The exchange refuses the request when it arrives later than this and a few seconds, so an
            attempt that is absent after that time stays absent.
        outcome: What became of it.
        detail: The exchange's words, or the error.
    """

    number: int
    attempted_at: datetime
    outcome: AttemptOutcome = AttemptOutcome.PENDING
    detail: str = ""


@dataclass(frozen=True)
class Order:
    """An intent and everything that has become of it.

    Attributes:
        intent: What was wanted.
        state: Where it is.
        attempts: To send it, rising.
        order_id: The exchange's; None until it said one.
        fills: All executions known, rising by id. A final state is only stored with all of them.
        reason: Why it was rejected, in words with the remedy; empty otherwise.
        refusal: The code of our own check that rejected it (`lib.execution.checks.Refusal`); empty otherwise.
        changed_at: UTC.
        code_version: Of the code that stored the intent; empty where it is not known.
    """

    intent: OrderIntent
    state: OrderState
    attempts: tuple[Attempt, ...]
    order_id: str | None
    fills: tuple[Fill, ...]
    reason: str
    refusal: str
    changed_at: datetime
    code_version: str = ""

    @property
    def name(self) -> str:
        """For messages: "buy 0.5 BTC/USDT (fks-…)"."""
        intent = self.intent
        return f"{intent.side} {intent.quantity.normalize():f} {intent.symbol} ({intent.client_order_id})"

    @property
    def executed_quantity(self) -> Decimal:
        """Base, of all fills."""
        return sum_quantity(self.fills)

    @property
    def executed_notional(self) -> Decimal:
        """Quote, of all fills, without fees."""
        return sum((fill.quantity * fill.price for fill in self.fills), ZERO)

    @property
    def remainder(self) -> Decimal:
        """Base: the intent minus its fills."""
        return self.intent.quantity - self.executed_quantity


def sum_quantity(fills: Sequence[Fill]) -> Decimal:
    """Return the base of all fills."""
    return sum((fill.quantity for fill in fills), ZERO)


@dataclass(frozen=True)
class OrderReport:
    """What the exchange says of one order, ours or not.

    Attributes:
        client_order_id: As the exchange has it.
        order_id: The exchange's, unique within the symbol.
        symbol: "BTC/USDT".
        side: Buy or sell.
        kind: The exchange's word for the type: "LIMIT_MAKER" too.
        state: Open, partially filled or a final one.
        quantity: Base, as ordered.
        executed: Base, filled so far.
        price: The limit, quote per base; None for one without.
        created_at: UTC; None where an answer does not tell.
    """

    client_order_id: str
    order_id: str
    symbol: str
    side: Side
    kind: str
    state: OrderState
    quantity: Decimal
    executed: Decimal
    price: Decimal | None
    created_at: datetime | None = None


def find_difference(intent: OrderIntent, report: OrderReport) -> str | None:
    """Return how a report is of another order than the intent, or None."""
    expected = (intent.client_order_id, intent.symbol, intent.side, intent.quantity)
    was = (report.client_order_id, report.symbol, report.side, report.quantity)
    for name, mine, theirs in zip(("client order id", "symbol", "side", "quantity"), expected, was, strict=True):
        if mine != theirs:
            return f"expected {name} {mine}, was {theirs}"
    return None


def to_state(report: OrderReport, fills: Sequence[Fill]) -> OrderState:
    """Return the state of an order by what the exchange says and by the fills it has told.

    A final state waits for all its fills: an exchange may tell them a little after the order.
    """
    known = sum_quantity(fills)
    if report.state.is_final and known == report.executed:
        return report.state
    return OrderState.PARTIALLY_FILLED if known else OrderState.OPEN
