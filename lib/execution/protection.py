"""Protective orders: the stop loss of a position, and its take profit beside it, resting on the exchange.

    stored ──► its orders sent in one request ──► resting ──► sold | released | cancelled | refused | expired
                                                     └ one that sells ends the other: the exchange sees to that

A `Protection` says what is to rest for which position; its orders name it as their plan. A position has at most one
that may rest: the next one is sent only when every order of the last one has ended, and the exchange locks what it is
about to sell, so that nothing is sold twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from lib.execution.checks import Refusal
from lib.execution.orders import AttemptOutcome, Order, OrderKind, OrderState
from lib.notifications.messages import Message
from lib.portfolio.fills import Balance
from lib.portfolio.money import format_number

ZERO = Decimal(0)
TRY_AGAIN = timedelta(hours=1)  # what was refused, and what could not be protected as a whole
SHORT = "the rest is not free, or not on the account"  # ends what a `Protection.note` says of a quantity


class Ending(StrEnum):
    """How a protection has ended.

    `sold`: it filled, wholly or as far as it went. `released`: by us, for a sale or another protection. `cancelled`: by
    somebody else. `refused`: nothing of it was ever at the exchange. `expired`: by the exchange.
    """

    SOLD = "sold"
    RELEASED = "released"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Protection:
    """What is to rest on the exchange for a position.

    Attributes:
        account: Whose.
        protection_id: Its name; those of its orders begin with it.
        symbol: Of the position.
        opened_by: The position's opening fill.
        quantity: Base, to be sold.
        stop_loss: The position's, quote per base.
        take_profit: Likewise; None where it has none.
        created_at: UTC.
        looked_at: When it was last tried to do better than what `note` or `refusal` says, UTC.
        note: Why it protects less than the position and its limits ask for; empty when it does not.
        refusal: Why nothing was sent at all; empty when orders were.
        released_at: When we began to cancel it, UTC; None when we did not.
        release_why: What for.
        settled_at: When everything about it was done, UTC.
    """

    account: str
    protection_id: str
    symbol: str
    opened_by: str
    quantity: Decimal
    stop_loss: Decimal
    take_profit: Decimal | None
    created_at: datetime
    looked_at: datetime
    note: str = ""
    refusal: str = ""
    released_at: datetime | None = None
    release_why: str = ""
    settled_at: datetime | None = None

    @property
    def name(self) -> str:
        """For messages and items: "demo SOL/USDT protection"."""
        return f"{self.account} {self.symbol} protection"

    @property
    def is_short(self) -> bool:
        """Whether it was made for less than the position because not all of it was free: the sizes differ then."""
        return SHORT in self.note

    @property
    def plan(self) -> str:
        """What its orders name as their plan."""
        return f"protection {self.protection_id}"

    def describe(self) -> str:
        """Render ``stop 120, target 180``."""
        target = f", target {format_number(self.take_profit)}" if self.take_profit is not None else ""
        return f"stop {format_number(self.stop_loss)}{target}"


@dataclass(frozen=True)
class Guard:
    """A protection with its orders: none yet, the stop loss, or the stop loss and the take profit."""

    protection: Protection
    orders: tuple[Order, ...]

    @property
    def is_live(self) -> bool:
        """Whether anything of it may still fill, or may still be sent."""
        return any(not order.state.is_final for order in self.orders)

    @property
    def is_resting(self) -> bool:
        """Whether it is at the exchange as far as we know, with no order in doubt."""
        return self.is_live and all(order.state.is_final or order.state.is_at_exchange for order in self.orders)

    @property
    def is_sound(self) -> bool:
        """Whether it rests, and nobody has begun to cancel it."""
        return self.is_resting and self.protection.released_at is None

    @property
    def has_rested(self) -> bool:
        """Whether anything of it was ever at the exchange, as far as we know."""
        return any(
            attempt.outcome is AttemptOutcome.ACCEPTED
            for order in self.orders
            if order.state is not OrderState.REJECTED
            for attempt in order.attempts
        )

    @property
    def has_stop(self) -> bool:
        """Whether its stop loss may still fill: the exchange ends it when the take profit fills only in part."""
        return any(order.intent.kind is OrderKind.STOP_LOSS_LIMIT and not order.state.is_final for order in self.orders)

    @property
    def has_target(self) -> bool:
        """Whether its take profit was sent too."""
        return any(order.intent.kind is OrderKind.LIMIT_MAKER for order in self.orders)

    @property
    def executed_quantity(self) -> Decimal:
        """Base, of all its orders: only one of them can fill."""
        return sum((order.executed_quantity for order in self.orders), ZERO)

    @property
    def locked(self) -> Decimal:
        """Base that it holds at the exchange, once for both orders."""
        if not any(order.state.is_at_exchange for order in self.orders):
            return ZERO
        return self.protection.quantity - self.executed_quantity

    @property
    def target_was_refused(self) -> bool:
        """Whether the exchange did not take its take profit; what we have withdrawn was not refused."""
        return any(
            order.intent.kind is OrderKind.LIMIT_MAKER
            and order.state is OrderState.REJECTED
            and any(attempt.outcome is AttemptOutcome.REFUSED for attempt in order.attempts)
            for order in self.orders
        )

    @property
    def why_refused(self) -> str:
        """Why nothing of it rests, in words."""
        return self.protection.refusal or next((one.reason for one in self.orders if one.reason), "")

    @property
    def ending(self) -> Ending | None:
        """How it has ended; None while it is live."""
        if self.is_live:
            return None
        states = {order.state for order in self.orders}
        is_whole = self.executed_quantity == self.protection.quantity
        if self.protection.released_at is not None and not is_whole:
            return Ending.RELEASED
        if not self.orders and not self.protection.refusal:
            return Ending.RELEASED  # by the end of the process that had stored it
        if any(order.refusal == Refusal.HALTED for order in self.orders):
            return Ending.RELEASED  # by the halt, which began between two checks
        if OrderState.CANCELLED in states and not is_whole:
            return Ending.CANCELLED
        if self.executed_quantity:
            return Ending.SOLD
        return Ending.REFUSED if states <= {OrderState.REJECTED} else Ending.EXPIRED


def count_locked(known: Sequence[Guard]) -> Mapping[str, Decimal]:
    """Return what protections hold at the exchange and free before any sale: base by asset."""
    locked: dict[str, Decimal] = {}
    for one in known:
        base = one.protection.symbol.partition("/")[0]
        if one.locked:
            locked[base] = locked.get(base, ZERO) + one.locked
    return locked


def free_up(balances: Mapping[str, Balance], locked: Mapping[str, Decimal]) -> dict[str, Balance]:
    """Return balances as they are once protections are released."""
    freed = dict(balances)
    for asset, quantity in locked.items():
        if (balance := balances.get(asset)) is not None:
            moved = min(quantity, balance.locked)
            freed[asset] = Balance(asset, balance.free + moved, balance.locked - moved)
    return freed


class ProtectionStore(Protocol):
    """Protections of all accounts. Every method raises `DatabaseUnavailable`; repeating it is then safe."""

    def load_current(self, account: str) -> Sequence[Guard]:
        """Return the account's protections that are not settled, and all those of open positions, by creation."""
        ...

    def add(self, protection: Protection) -> None:
        """Store a protection."""
        ...

    def release(self, protection: Protection, why: str, now: datetime) -> None:
        """Note that we cancel it, before we do: who ended it is then known, whatever happens to us."""
        ...

    def note_look(self, protection: Protection, now: datetime) -> None:
        """Note that doing better was tried in vain."""
        ...

    def settle(self, protection: Protection, now: datetime, message: Message | None = None) -> bool:
        """Note that everything about it is done, and record the message that tells so, both or nothing.

        False, and nothing stored, when it was settled before.
        """
        ...
