"""Runs steps as Prefect does: with retries where they may help, and processes that die in the middle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import TypeVar

from lib.errors import AllItemsFailed, DataError, OperatorError, TimeSpent
from lib.execution.halt import Halt
from lib.reporting.runs import RunHistory
from lib.results import TaskResult
from tests.soak.chains import Chain, Run
from tests.soak.log import Log
from tests.soak.stage import Stage

RETRY_SECONDS = (2, 8)  # as flows.support
LONGEST_LIFE_SECONDS = 0.4  # of a process that is to die, so that most die at work
R = TypeVar("R", bound=TaskResult)
After = Callable[[TaskResult | Exception], Awaitable[None]]


@dataclass
class Driver:
    """Runs chains on a stage.

    Attributes:
        stage: Where.
        log: What is noted.
        choices: Seeded.
        halt: Of trading, as the Prefect variable keeps it.
        after: By task, what follows it in its chain as long as the process lives, and in the flows is no task.
    """

    stage: Stage
    log: Log
    choices: Random
    halt: Halt | None = None
    after: dict[str, After] = field(default_factory=dict)

    async def halted(self) -> str | None:
        """Say why trading is halted."""
        return self.halt.describe() if self.halt else None

    async def run_chain(self, chain: Chain, *, dies: bool = False) -> None:
        """Run a chain to its end, or kill its process somewhere in the middle and start another one."""
        running = asyncio.create_task(self._run_steps(chain))
        if not dies:
            await running
            return
        await asyncio.wait([running], timeout=self.choices.uniform(0.005, LONGEST_LIFE_SECONDS))
        self.log.events["processes killed" if not running.done() else "processes ended before they were killed"] += 1
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await self.stage.restart()

    async def _run_steps(self, chain: Chain) -> None:
        clock = self.stage.clock
        run = Run(self.stage.platform, f"{chain.flow} {clock.now():%Y%m%dT%H%M%S}", self.halt, RunHistory())
        for task, step in chain.steps:
            ended = await self.attempt(task, partial(step, run))
            if follow := self.after.get(task):
                await follow(ended)

    async def attempt(self, task: str, work: Callable[[], Awaitable[R]]) -> R | Exception:
        """Do a task's work with its retries; return its result, or the error it ended with."""
        clock = self.stage.clock
        for pause in (*RETRY_SECONDS, None):
            try:
                with self.log.timing(task):
                    async with clock.running():
                        result = await work()
            except Exception as error:  # noqa: BLE001 - counted, and a breach unless it is of our own tree
                self.log.take_error(task, error, clock.now())
                if pause is None or not _may_succeed_later(error):
                    self.log.outcomes[task]["failed"] += 1
                    return error
            else:
                self.log.take(task, result, clock.now())
                return result
            clock.jump(clock.exchange_now() + timedelta(seconds=pause))
        raise AssertionError("unreachable")


def _may_succeed_later(error: Exception) -> bool:
    """As flows.support has it."""
    if isinstance(error, AllItemsFailed):
        return error.retryable
    return not isinstance(error, OperatorError | DataError | TimeSpent)
