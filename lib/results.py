"""What a task reports: a status, counts, and each item with its error."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from lib.errors import AllItemsFailed, FksError, RetryableError

# Words in the plural; "series", "status", "loss" and "basis" are none.
_PLURAL = re.compile(r"\b(?!series\b)(\w{2,}?)(ies|(?<=ss)es|(?<=x)es|(?<=[cs]h)es|(?<![sui])s)\b")


class Status(StrEnum):
    """Outcome of an item or of a task."""

    OK = "ok"
    PARTIAL = "partial"
    SKIPPED = "skipped"
    FAILED = "failed"


class Item(BaseModel):
    """One thing a task worked on.

    Attributes:
        name: What it is, in the users' words: "BTC/USDT 1h", "SOL/USDT", "discord".
        status: `ok`, `skipped` (nothing had to be done) or `failed`.
        detail: What was done, why it was skipped, or the error with its remedy.
        retryable: For a failed item: whether trying again may help.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    status: Status
    detail: str = ""
    retryable: bool = False


def failed_item(name: str, error: Exception) -> Item:
    """Return the item of something that failed; an error that is not of our tree shows its type."""
    detail = str(error) if isinstance(error, FksError) else f"unexpected {type(error).__name__}: {error}"
    return Item(name=name, status=Status.FAILED, detail=detail, retryable=isinstance(error, RetryableError))


def name_failed(failed: Sequence[Item]) -> str:
    """Return ``2 failed (SOL/USDT 5m, SOL/USDT 1h)``; three names at most."""
    names = ", ".join(item.name for item in failed[:3])
    return f"{len(failed)} failed ({names}{', …' if len(failed) > 3 else ''})"


def render_count(count: int, name: str) -> str:
    """Return ``322,625 candles``, and for a count of one the name's words in the singular: ``1 gap found``."""
    return f"{count:,} {_PLURAL.sub(_to_singular, name) if count == 1 else name}"


def _to_singular(plural: re.Match[str]) -> str:
    stem, ending = plural.groups()
    return stem + "y" if ending == "ies" else stem


class TaskResult(BaseModel):
    """The typed record that every task returns.

    Attributes:
        task: The task's name.
        status: `ok`, `partial` (some items failed) or `skipped` (nothing had to be done).
        counts: What was done, by the counted thing in the plural: ``{"candles": 40, "gaps found": 1, "fresh": 3}``.
        items: Every item with its outcome.
        started_at: UTC.
        finished_at: UTC.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    status: Status
    counts: Mapping[str, int]
    items: tuple[Item, ...]
    started_at: datetime
    finished_at: datetime

    @property
    def failed(self) -> tuple[Item, ...]:
        """The items that failed."""
        return tuple(item for item in self.items if item.status is Status.FAILED)

    @property
    def summary(self) -> str:
        """One line for a run's name or log: ``partial: 40 candles, 1 failed (SOL/USDT 1h)``."""
        words = [render_count(count, name) for name, count in self.counts.items() if count]
        if self.failed:
            words.append(name_failed(self.failed))
        return f"{self.status}: {', '.join(words) or 'nothing to do'}"

    def render_tables(self) -> list[str]:
        """Markdown a person looks for in this task's artifact; a result with more to show overrides it."""
        return []


def calc_status(task: str, items: Sequence[Item]) -> Status:
    """Return the status that these items add up to.

    Returns:
        `skipped` when no item was worked on, `ok` when none failed, `partial` when some failed.

    Raises:
        AllItemsFailed: When there are items and every one failed.
    """
    by_status = Counter(item.status for item in items)
    failed = [item for item in items if item.status is Status.FAILED]
    if failed and not by_status[Status.OK] and not by_status[Status.PARTIAL]:
        if not by_status[Status.SKIPPED]:
            raise AllItemsFailed(
                task, {item.name: item.detail for item in failed}, retryable=any(i.retryable for i in failed)
            )
        return Status.PARTIAL
    if failed or by_status[Status.PARTIAL]:
        return Status.PARTIAL
    return Status.OK if by_status[Status.OK] else Status.SKIPPED


R = TypeVar("R", bound=TaskResult)


def extend(result: R, items: Sequence[Item]) -> R:
    """Return a result with further items; its status follows from all of them."""
    if not items:
        return result
    every = (*result.items, *items)
    return result.model_copy(update={"items": every, "status": calc_status(result.task, every)})


def combine(parts: Sequence[R], failed: Sequence[Item] = ()) -> R:
    """Add up the results of one task for several accounts: counts are summed, items and tables appended.

    Args:
        parts: Results of the same task and type; what such a type adds to `TaskResult` are tuples.
        failed: The accounts that failed as a whole.

    Raises:
        AllItemsFailed: When there are no parts.
    """
    if not parts:
        errors = {item.name: item.detail for item in failed}
        raise AllItemsFailed("every account", errors, retryable=any(item.retryable for item in failed))
    items = (*(item for part in parts for item in part.items), *failed)
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    first = parts[0]
    added = set(type(first).model_fields) - set(TaskResult.model_fields)
    return first.model_copy(
        update={
            "status": calc_status(first.task, items),
            "counts": dict(counts),
            "items": items,
            "finished_at": max(part.finished_at for part in parts),
            **{name: sum((getattr(part, name) for part in parts), ()) for name in added},
        }
    )
