"""Exits: what an account's policy wants done when a stop loss or a take profit is crossed.

    wanted ──► started ──► done | rejected
       ▲          │
       └──────────┘ failed, or the policy was changed to the other one that sells: the next chain tries again
    wanted | started ──► void: the price recovered, the position is gone, people are only to be told,
                         or the other limit or a newer position wants an exit

An exit is stored with the alarm that wants it, in one transaction, and a position has at most one that is open: the
newest crossing's. So a process that is killed between the alert and the start of the closing run loses nothing and
repeats nothing, and a stop loss never waits behind the form of a take profit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from lib.notifications.messages import Message
from lib.portfolio.alarms import AlarmKind


class ExitPolicy(StrEnum):
    """What follows when a limit is crossed: people are told; they are asked to approve a sale; it is sold at once."""

    ALERT = "alert"
    APPROVE = "approve"
    EXIT = "exit"


class ExitState(StrEnum):
    """How far an exit is."""

    WANTED = "wanted"
    STARTED = "started"
    DONE = "done"
    REJECTED = "rejected"
    VOID = "void"

    @property
    def is_open(self) -> bool:
        """Whether the position is still to be sold."""
        return self in (ExitState.WANTED, ExitState.STARTED)


@dataclass(frozen=True)
class Exit:
    """One crossing that an account's policy acts on.

    Attributes:
        exit_id: Its number.
        account: Whose.
        symbol: Of the position.
        opened_by: The position's opening fill; empty where that is not known.
        kind: Stop loss or take profit.
        policy: Approve or exit.
        wanted_at: UTC.
        state: How far it is.
        attempts: Closing runs that were started.
        run: The newest of them; None before the first.
        note: What became of it, for people.
        changed_at: UTC.
        after_run: A closing run that has to be over before the next one begins: of the exit that this one replaced, or
            its own of another policy; None when there is none.
    """

    exit_id: int
    account: str
    symbol: str
    opened_by: str
    kind: AlarmKind
    policy: ExitPolicy
    wanted_at: datetime
    state: ExitState
    attempts: int
    run: str | None
    note: str
    changed_at: datetime
    after_run: str | None = None

    @property
    def name(self) -> str:
        """For messages and items: "demo SOL/USDT exit"."""
        return f"{self.account} {self.symbol} exit"

    @property
    def present_run(self) -> str | None:
        """The run that decides what is due: its own, or the one that has to be over before its own begins."""
        return self.run if self.state is ExitState.STARTED else self.after_run

    @property
    def next_key(self) -> str:
        """What makes the next attempt's run this one and no other, also where numbers began anew in a new database."""
        return f"exit {self.exit_id} of {self.wanted_at.isoformat()} attempt {self.attempts + 1}"


class ExitStore(Protocol):
    """Exits of all accounts; `PortfolioStore.save_alarm` adds them. Each method raises `DatabaseUnavailable`."""

    def load_open(self, accounts: Collection[str]) -> Sequence[Exit]:
        """Return the accounts' exits that are wanted or started, oldest first."""
        ...

    def load(self, exit_id: int) -> Exit:
        """Return an exit.

        Raises:
            OperatorError: There is none of that number.
        """
        ...

    def begin(self, wanted: Exit, run: str, now: datetime) -> bool:
        """Note the run that was started for it; False when it is not as it was loaded."""
        ...

    def begin_anew(self, known: Exit, policy: ExitPolicy, *, note: str, now: datetime) -> bool:
        """Have an open exit tried again by a policy, once its present run is over; False when it has changed since."""
        ...

    def end(self, known: Exit, state: ExitState, *, note: str, now: datetime, message: Message | None = None) -> bool:
        """Note what became of an open exit (`WANTED`: it is to be tried again), with the message that tells so.

        False, and nothing stored, when it was not open any more.
        """
        ...
