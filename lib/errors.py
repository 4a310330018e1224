"""The one tree of errors, named by the reaction they ask for.

::

    FksError
    ├── RetryableError            try again by itself: nothing was decided yet
    │   ├── ExchangeUnavailable   network, maintenance, 5xx
    │   │   └── ExchangeSlow      no answer in time: ask for less at once
    │   ├── RateLimited           429 or 418: everyone pauses until `retry_at`
    │   ├── OrderNotSent          certainly nothing was booked: it may be sent again
    │   ├── OutcomeUnknown        an order may have been booked: look it up before anything is sent again
    │   ├── AccountBusy           another run places orders of this account now
    │   ├── FeedUnavailable       a news feed does not answer now
    │   ├── ArchiveUnavailable    the archive's folder does not answer now
    │   ├── ArchiveBusy           another run archives or restores now
    │   ├── ArchiveConflict       rows changed while they were archived: nothing of them was deleted
    │   ├── WorkersUnavailable    processes of a search died, or its cluster does not answer
    │   └── DatabaseUnavailable   connection refused or lost
    ├── OperatorError             a person must act; retrying cannot help
    │   ├── SettingsError         a setting is missing, misspelt or contradictory
    │   ├── CredentialsRefused    key, secret or permission refused by the exchange
    │   ├── OrderRefused          funds, filters or our own checks refuse an order
    │   │   └── CheckRefused      one of our own checks, with its code
    │   ├── PlanOutdated          time, prices or holdings have moved on since a plan was made: plan anew
    │   ├── StrategyRefused       a strategy's code or parameters cannot be traded: mend or disable it
    │   └── EnvironmentRefused    port taken, disk full, folder not writable, wrong server version
    ├── DataError                 what came back cannot be used; nothing of it was stored
    │   ├── BadAnswer             not JSON, wrong types, wrong counts, impossible values
    │   ├── UnknownSymbol         the exchange does not have it (any more)
    │   ├── UnknownOrder          the exchange does not have it (yet)
    │   ├── ArchiveDamaged        a file of the archive is missing, or not what was written
    │   └── SymbolHalted          it exists and does not trade
    ├── TimeSpent                 a task used up its time: the next run carries on
    └── AllItemsFailed            every item of a task failed: the task fails, with each item's error
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


class FksError(Exception):
    """Base of every error this platform raises on purpose."""


class RetryableError(FksError):
    """Trying again later may succeed without a person."""


class ExchangeUnavailable(RetryableError):
    """The exchange did not answer, or answered that it cannot now."""


class ExchangeSlow(ExchangeUnavailable):
    """The exchange did not answer in time; asking for less at once may help."""


class RateLimited(RetryableError):
    """The exchange asks everyone at this address to pause.

    Attributes:
        retry_at: The UTC instant from which requests are allowed again.
        banned: True for HTTP 418 (an address ban), False for 429.
    """

    def __init__(self, message: str, *, retry_at: datetime, banned: bool = False) -> None:
        super().__init__(message)
        self.retry_at = retry_at
        self.banned = banned


class OrderNotSent(RetryableError):
    """Certainly nothing of the order was booked; sending it again repeats nothing."""


class OutcomeUnknown(RetryableError):
    """An order may have been booked. Look it up; never send it again before."""


class AccountBusy(RetryableError):
    """Another run places orders of this account now; only one may."""


class FeedUnavailable(RetryableError):
    """A news feed did not answer in time, or answered that it cannot now."""


class ArchiveUnavailable(RetryableError):
    """The folder of the archive could not be read or written."""


class ArchiveBusy(RetryableError):
    """Another run archives or restores now; only one may."""


class ArchiveConflict(RetryableError):
    """Rows changed between the writing of their file and their deletion; they are still in the database."""


class WorkersUnavailable(RetryableError):
    """The processes that work for a search died, or the cluster that should does not answer; nothing was stored."""


class DatabaseUnavailable(RetryableError):
    """The database refused or lost the connection."""


class OperatorError(FksError):
    """Only a person can mend this; the message says how."""


class SettingsError(OperatorError):
    """A setting is missing, misspelt or contradicts another."""


class CredentialsRefused(OperatorError):
    """The exchange refused the key, its signature or its permissions."""


class OrderRefused(OperatorError):
    """An order that the exchange or our own checks refuse."""


class CheckRefused(OrderRefused):
    """One of our own checks refuses an order; nothing was sent.

    Attributes:
        code: Which (`lib.execution.checks.Refusal`).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PlanOutdated(OperatorError):
    """Time, prices or holdings have moved on since a plan was made; nothing of it is sent, and it is planned anew."""


class StrategyRefused(OperatorError):
    """A strategy's code raises, gives what cannot be traded, or looks ahead; or its parameters do not fit it."""


class EnvironmentRefused(OperatorError):
    """The machine does not offer what is needed: port, disk, folder, version."""


class DataError(FksError):
    """What came back cannot be used; nothing of it was stored."""


class BadAnswer(DataError):
    """An answer of the exchange, or of a news feed, that is malformed or impossible."""


class UnknownSymbol(DataError):
    """The exchange does not have this symbol, or has it no longer."""


class UnknownOrder(DataError):
    """The exchange does not have this order, or not yet."""


class ArchiveDamaged(DataError):
    """A file of the archive is missing, or is not the one that was written."""


class SymbolHalted(DataError):
    """The symbol exists and does not trade at the moment."""


class TimeSpent(FksError):
    """A task used up its time; what it has done is stored, and the next run carries on."""


class AllItemsFailed(FksError):
    """Every item of a task failed.

    Attributes:
        errors: The message of each failed item, by the item's name.
        retryable: True when at least one item failed with a `RetryableError`.
    """

    def __init__(self, task: str, errors: Mapping[str, str], *, retryable: bool) -> None:
        super().__init__(f"{task}: all {len(errors)} items failed. {_describe(errors)}")
        self.errors = dict(errors)
        self.retryable = retryable


def _describe(errors: Mapping[str, str]) -> str:
    """Say each reason once, with the names of up to three items; three reasons at most."""
    names: dict[str, list[str]] = {}
    for name, error in errors.items():
        names.setdefault(error.rstrip("."), []).append(name)
    told = [f"{_list(items)}: {error}" for error, items in list(names.items())[:3]]
    if untold := sum(len(items) for items in list(names.values())[3:]):
        told.append(f"and {untold} more")
    return "; ".join(told)


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
