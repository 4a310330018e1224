"""Chaos: processes trade while everything fails at random and they, and the database, are killed by -9.

    make chaos                      400 single orders, then 200 whole plans, then 200 tickets with their exits
    make chaos ARGS="--seed 17"     the choices of an earlier run again (the machine's timing is its own)
    make chaos ARGS="--orders 0 --plans 0 --tickets 20"

At the end the simulator's own books are compared with ours (`tests.execution.books`); what is compared of orders, plans
and tickets is said in `chaos`, `plan_chaos` and `ticket_chaos`. Ends with 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deployments import postgres
from tests.databases import TEMPLATE, ensure_migrated, new_database, remove, session_folder
from tests.execution.chaos import Chaos, restart_killed
from tests.execution.lives import Fray, Step
from tests.execution.plan_chaos import PlanChaos
from tests.execution.ticket_chaos import SYMBOLS, TicketChaos
from tests.simulators import RunningSimulator, running_simulator

FIRST_SECONDS, SECONDS_A_LIFE = 120, 15  # of plans or tickets, at most, with many at once


@dataclass
class Show:
    """Runs each kind of chaos, with a bar and a line of what happened.

    Attributes:
        server: Of the databases; durable, since it is killed, too.
        seed: Of every choice.
        folder: For what processes leave to their heirs.
        at_once: Plans or tickets.
        problems: Everything that was wrong.
    """

    server: postgres.Server
    seed: int
    folder: Path
    at_once: int
    problems: list[str] = field(default_factory=list)

    def orders(self, count: int, seconds: float) -> None:
        """Single orders of two accounts."""
        with self._world("orders", count) as (simulator, url, show):
            chaos = Chaos(simulator, url, self.seed, count, self._kill, show)
            self._tell("orders", chaos.run(seconds), chaos.counts)

    def plans(self, count: int) -> None:
        """Whole plans, each of an account of its own."""
        with self._world("plans", count) as (simulator, url, show):
            fray = Fray(simulator, self.seed, min(self.at_once, count), self._kill, show=show)
            self._tell(
                "plans",
                PlanChaos(fray, url, count, self.folder).run(FIRST_SECONDS + SECONDS_A_LIFE * count),
                fray.counts,
            )

    def tickets(self, count: int) -> None:
        """Tickets and exits, each of an account of its own."""
        with self._world("tickets", count) as (simulator, url, show):
            fray = Fray(simulator, self.seed, min(self.at_once, len(SYMBOLS)), self._kill, show=show)
            self._tell(
                "tickets",
                TicketChaos(fray, url, count, self.folder).run(FIRST_SECONDS + SECONDS_A_LIFE * count),
                fray.counts,
            )

    def _kill(self) -> None:
        restart_killed(self.server)

    @contextmanager
    def _world(self, what: str, count: int) -> Iterator[tuple[RunningSimulator, str, Step]]:
        bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with (
            new_database(self.server, TEMPLATE) as url,
            running_simulator(weight_limit_per_minute=10**6) as simulator,
            bar,
        ):
            task = bar.add_task(what, total=count)
            yield simulator, url, lambda steps: bar.advance(task, steps)

    def _tell(self, what: str, problems: list[str], counts: Counter[str]) -> None:
        self.problems += [f"{what}: {one}" for one in problems]
        happened = "".join(f"\n  {name}: {count}" for name, count in sorted(counts.items()))
        print(f"seed {self.seed}, {what}: {len(problems)} wrong{happened}", flush=True)


def main() -> None:
    """Run chaos from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=120, help="of single orders")
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--plans", type=int, default=200)
    parser.add_argument("--tickets", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=14, help="plans; at most a ticket for each of the symbols")
    given, folder = parser.parse_args(), session_folder()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # so that processes and server end, too
    try:
        server = postgres.start(folder / "postgres")
        ensure_migrated(server)
        show = Show(server, given.seed, folder, given.at_once)
        if given.orders:
            show.orders(given.orders, given.seconds)
        if given.plans:
            show.plans(given.plans)
        if given.tickets:
            show.tickets(given.tickets)
    finally:
        remove(folder)
    right = "Nothing was executed twice, and our fills, positions, cash and fees are the exchange's."
    print("\n".join([*show.problems, f'Again: make chaos ARGS="--seed {given.seed}"']) if show.problems else right)
    raise SystemExit(bool(show.problems))


if __name__ == "__main__":
    main()
