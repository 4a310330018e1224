"""What a soak saw: counts, times, what is expected, and what went wrong."""

from __future__ import annotations

import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lib.errors import FksError
from lib.results import Status, TaskResult

UNEXPECTED = "unexpected "  # as `lib.results.failed_item` shows errors that are not of our tree
MOST_BREACHES = 200


@dataclass(frozen=True)
class Expected:
    """A message that people must get.

    Attributes:
        what: Why.
        since: It was recorded then or later.
        until: It was recorded by then.
        key: How its deduplication key begins.
    """

    what: str
    since: datetime
    until: datetime
    key: str


@dataclass
class Log:
    """See the module.

    Attributes:
        outcomes: By task, how often it ended how.
        events: What was done to the platform, and what people did.
        errors: Errors of our own tree by task and class: expected while faults strike.
        breaches: What must not be.
        expected: Messages that must be there in the end.
        expected_fills: What was filled, and the key of the message that people must get once it is imported.
        seconds: Of the machine, by task.
        memory: By simulated day, megabytes of the driver's process.
        tables: Rows in the end.
    """

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    events: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    expected_fills: list[tuple[str, str]] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    memory: list[float] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)

    def breach(self, what: str) -> None:
        """Note what must not be, once."""
        if len(self.breaches) < MOST_BREACHES and what not in self.breaches:
            self.breaches.append(what)

    def expect(self, what: str, key: str, now: datetime, *, before: timedelta = timedelta()) -> None:
        """Expect a message that was recorded at most `before` ago, or is by the next minutes."""
        self.expected.append(Expected(what, now - before, now + timedelta(minutes=10), key))

    def take(self, task: str, result: TaskResult, at: datetime) -> None:
        """Note a result; an error that nobody foresaw is a breach."""
        self.outcomes[task][result.status.value] += 1
        for item in result.items:
            if item.status is Status.FAILED and item.detail.startswith(UNEXPECTED):
                self.breach(f"{at:%m-%d %H:%M} {task}, {item.name}: {item.detail}")

    def take_error(self, task: str, error: Exception, at: datetime) -> None:
        """Note an error; one that is not of our tree is a breach."""
        self.errors[f"{task}: {type(error).__name__}"] += 1
        if UNEXPECTED in str(error) or not isinstance(error, FksError):
            trace = "".join(traceback.format_exception(error)[-4:])
            self.breach(f"{at:%m-%d %H:%M} {task}: {type(error).__name__}: {error}\n{trace}")

    @contextmanager
    def timing(self, task: str) -> Iterator[None]:
        """Count the machine's time of a task."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[task] += time.perf_counter() - began
