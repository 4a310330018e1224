"""Accounts that trade while everything fails: each by one process after the other, some of which are killed."""

from __future__ import annotations

import logging
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from typing import Any

from tests.execution.mishaps import arm_something
from tests.simulators import RunningSimulator

PROCESSES = multiprocessing.get_context("forkserver")  # ccxt and the rest are imported once, in the server
PROCESSES.set_forkserver_preload([f"tests.execution.{name}" for name in ("worker", "plan_worker", "ticket_worker")])
MOST_DEATHS = 4
FAULTS_A_LIFE = 0.06  # of one that runs, at each look: few enough that most orders end within seconds
KILLED = -9
Step = Callable[[int], None]


def silent(_: int) -> None:
    """Show nothing."""


def work_quietly(work: Callable[[Any], None], task: Any) -> None:
    """Do the work of a process without its warnings: of what goes wrong here on purpose."""
    logging.getLogger("lib").setLevel(logging.CRITICAL)
    work(task)


@dataclass
class Life:
    """One account and the processes that trade on it.

    Attributes:
        task: What each of them does: a `PlanTask` or a `TicketTask`.
        work: Does it.
        points: Where a process may die.
        choices: Of everything about this life.
        deaths: How many are left to it.
        kills: From outside, at any instant.
        worker: The process, when one runs.
    """

    task: Any
    work: Callable[[Any], None]
    points: Sequence[str]
    choices: random.Random
    deaths: int
    kills: int = 0
    worker: BaseProcess | None = None

    def start(self) -> None:
        """Start a process, that dies at some point while deaths are left."""
        point = self.choices.choice(self.points) if self.deaths > 0 else None
        self.deaths -= 1
        task = replace(self.task, die_at=point, die_after=self.choices.randrange(3))
        self.worker = PROCESSES.Process(target=work_quietly, args=(self.work, task), daemon=True)
        self.worker.start()

    def has_ended(self, counts: Counter[str]) -> bool:
        """Tell whether it has ended; a process that was killed is followed by another one."""
        if self.worker is not None and self.worker.is_alive():
            return False
        if self.worker is not None:
            self.worker.join()
            counts["died" if self.worker.exitcode == KILLED else f"ended with {self.worker.exitcode}"] += 1
            if self.worker.exitcode != KILLED:
                return True
        self.start()
        return False

    def kill(self) -> None:
        """Kill the process that runs."""
        if self.worker is not None:
            self.kills += 1
            self.worker.kill()


@dataclass
class Fray:
    """Where lives are lived.

    Attributes:
        simulator: Its exchange.
        seed: Of faults and kills; the machine's timing is its own.
        slots: Lives at once.
        kill_database: Kills the server of the database by -9 and starts it again; None leaves it alone.
        looks_until_kill: Of the database, for the first time; several times as many before the next.
        show: Told of each life that has ended.
        counts: What happened.
    """

    simulator: RunningSimulator
    seed: int
    slots: int
    kill_database: Callable[[], None] | None = None
    looks_until_kill: int = 60
    show: Step = silent
    counts: Counter[str] = field(default_factory=Counter)

    def live(
        self, lives: Collection[Life], seconds: float, begin: Callable[[Life, int], None] = lambda *_: None
    ) -> list[str]:
        """Live all, a few at once, arm faults, and kill; return what is wrong about how they ended.

        Args:
            lives: With their accounts.
            seconds: At most.
            begin: Prepares one for its slot.
        """
        choices, waiting, running = random.Random(self.seed), list(lives), dict[int, Life]()
        deadline, until_kill = time.monotonic() + seconds, self.looks_until_kill
        while (waiting or running) and time.monotonic() < deadline:
            for slot in set(range(self.slots)) - running.keys():
                if waiting:
                    running[slot] = waiting.pop(0)
                    begin(running[slot], slot)
            for slot in [slot for slot, life in running.items() if life.has_ended(self.counts)]:
                del running[slot]
                self.show(1)
            self._disturb([*running.values()], choices)
            until_kill -= 1
            if self.kill_database is not None and until_kill <= 0:
                until_kill = self.looks_until_kill * choices.randrange(4, 12)
                self.kill_database()
                self.counts["database killed"] += 1
            time.sleep(choices.uniform(0.02, 0.15))  # the pace of the chaos
        for life in running.values():
            life.kill()
        self.simulator.control.clear_faults()
        failed = [life for life in lives if life.worker is not None and life.worker.exitcode not in (0, KILLED, None)]
        return [
            *(f"{life.task.account}: not finished in {seconds} s" for life in (*waiting, *running.values())),
            *(f"{life.task.account}: an error that nobody foresaw ended its process" for life in failed),
        ]

    def settle(self, lives: Collection[Life], seconds: float) -> None:
        """Let each life look once more, undisturbed: what rests on the exchange may have filled after its end."""
        deadline, waiting = time.monotonic() + seconds, list(lives)
        while waiting and time.monotonic() < deadline:
            looking, waiting = waiting[: self.slots], waiting[self.slots :]
            for life in looking:
                life.deaths = 0
                life.start()
            for life in looking:
                if life.worker is not None:
                    life.worker.join(max(0.0, deadline - time.monotonic()))

    def _disturb(self, running: Sequence[Life], choices: random.Random) -> None:
        if choices.random() < FAULTS_A_LIFE * len(running):
            arm_something(self.simulator, choices, self.counts)
        if running and choices.random() < 0.05:
            victim = choices.choice(running)
            if victim.kills < MOST_DEATHS:  # a slow machine, too, must come to an end
                victim.kill()
