"""Findings: orders that differ between the exchange and us, and what somebody must know about each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from lib.execution.orders import OUR_PREFIX, Order, OrderReport
from lib.notifications.messages import Message
from lib.portfolio.fills import Side

# What Binance's own pages and apps begin their order names with, as seen in accounts; not documented, so a guess.
BY_HAND = ("web_", "ios_", "and_", "android_", "electron_", "pc_")


class FindingKind(StrEnum):
    """What a finding is.

    Orders that we did not place: `BY_HAND` in the exchange's own app, `BY_PROGRAM` by another program with this
    account's key, `LOOKALIKE` with a name that begins as ours do: by another installation, or before our database was
    restored. Orders of ours: `FORGOTTEN` by the exchange, which had it; `LEFT` by a run that ended, with nothing at the
    exchange; `NOT_IMPORTED`: the ledger lacks fills of it; `CONTRADICTED`: the ledger has others than we were told.
    """

    BY_HAND = "by_hand"
    BY_PROGRAM = "by_program"
    LOOKALIKE = "lookalike"
    FORGOTTEN = "forgotten"
    LEFT = "left"
    NOT_IMPORTED = "not_imported"
    CONTRADICTED = "contradicted"

    @property
    def is_foreign(self) -> bool:
        """Whether somebody else placed the order."""
        return self in (FindingKind.BY_HAND, FindingKind.BY_PROGRAM, FindingKind.LOOKALIKE)


@dataclass(frozen=True)
class Finding:
    """One order that somebody must know about.

    Attributes:
        account: Whose.
        kind: What it is.
        symbol: "BTC/USDT"; the exchange's own name of a symbol that we do not know.
        side: Buy or sell.
        quantity: Base, as ordered; what was filled where only fills are known.
        executed: Base, filled so far.
        price: Quote per base: the limit, or the mean of the fills; None at market.
        order_id: The exchange's; empty for an order that has none.
        client_order_id: Its name; empty where it is not known.
        detail: What is wrong, for orders of ours.
    """

    account: str
    kind: FindingKind
    symbol: str
    side: Side
    quantity: Decimal
    executed: Decimal
    price: Decimal | None
    order_id: str
    client_order_id: str
    detail: str = ""

    @property
    def finding_id(self) -> str:
        """Unique within the account: an order that somebody else placed is one finding, open or filled."""
        if self.kind.is_foreign:
            return f"foreign:{self.symbol}:{self.order_id}"
        return f"{self.kind}:{self.client_order_id}"


@dataclass(frozen=True)
class FilledOrder:
    """Fills of one order that is none of ours, as the ledger has imported them; `price` is their mean."""

    symbol: str
    order_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    filled_at: datetime


@dataclass(frozen=True)
class Disagreement:
    """A fill of an order of ours of which the ledger and execution say different things.

    `is_known` tells whether execution has it, `is_imported` whether the ledger has it; with both, its numbers differ.
    """

    client_order_id: str
    fill_id: int
    filled_at: datetime
    is_known: bool
    is_imported: bool


@dataclass(frozen=True)
class Reconciled:
    """Since when an account's orders are reconciled, and when they last wholly were."""

    began_at: datetime
    done_at: datetime


Compose = Callable[[Sequence[Finding]], Sequence[Message]]


class FindingStore(Protocol):
    """What reconciling keeps. Every method raises `DatabaseUnavailable`; repeating it is then safe."""

    def load_reconciled(self, account: str) -> Reconciled | None:
        """Return when the account was reconciled; None when it never was."""
        ...

    def load_foreign_fills(self, account: str, since: datetime) -> Sequence[FilledOrder]:
        """Return the orders filled since that are neither ours nor a finding, by their last fill."""
        ...

    def load_disagreements(self, account: str, since: datetime) -> Sequence[Disagreement]:
        """Return fills since of ended orders of ours that execution and the ledger do not have alike."""
        ...

    def load_own_names(self, account: str, names: Collection[str]) -> Collection[str]:
        """Return those of the client order ids that name an order of ours, ended or not."""
        ...

    def keep(
        self, account: str, found: Sequence[Finding], *, is_complete: bool, now: datetime, compose: Compose
    ) -> Sequence[Finding]:
        """Store findings and return those that are new; their messages are recorded in the same transaction.

        Args:
            account: Whose.
            found: What is so now.
            is_complete: Whether everything was looked at: what was found before and is not so any more has then ended.
            now: UTC.
            compose: Writes what people are told of new ones.
        """
        ...


def classify(account: str, report: OrderReport) -> Finding:
    """Return the finding of an order that is none of ours."""
    name = report.client_order_id
    kind = FindingKind.BY_PROGRAM
    if name.startswith(OUR_PREFIX):
        kind = FindingKind.LOOKALIKE
    elif name.startswith(BY_HAND):
        kind = FindingKind.BY_HAND
    return Finding(
        account=account,
        kind=kind,
        symbol=report.symbol,
        side=report.side,
        quantity=report.quantity,
        executed=report.executed,
        price=report.price,
        order_id=report.order_id,
        client_order_id=name,
    )


def find_own(order: Order, kind: FindingKind, detail: str) -> Finding:
    """Return a finding about an order of ours."""
    intent = order.intent
    return Finding(
        account=intent.account,
        kind=kind,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        executed=order.executed_quantity,
        price=intent.limit_price,
        order_id=order.order_id or "",
        client_order_id=intent.client_order_id,
        detail=detail,
    )
