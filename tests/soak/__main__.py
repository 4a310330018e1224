"""``make soak``: days of the whole platform on a simulated clock.

make soak                                      thirty days, a round every five minutes; a seed of the day
make soak ARGS="--days 3 --seed 17"            fewer, and the choices of an earlier run again
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from deployments import postgres
from lib.settings import ENV_FILE
from tests.databases import TEMPLATE, ensure_migrated, new_database, remove, session_folder
from tests.soak.log import Log
from tests.soak.soak import Plan, run_soak
from tests.soak.summary import show_summary

START = datetime(2026, 2, 17, tzinfo=UTC)  # a month ends within thirty days, and some weeks


def main() -> int:
    """Run a soak and show what it saw; 1 when anything was not as it must be."""
    plan = _read_arguments()
    for name in [name for name in os.environ if name.startswith("FKS_")]:
        del os.environ[name]
    os.environ[ENV_FILE] = ""
    console, folder, began = Console(), session_folder(), time.monotonic()
    console.print(f"{plan.days:g} days from {plan.start:%Y-%m-%d}, a round every {plan.step}, seed {plan.seed}")
    try:
        server = postgres.start(folder / "postgres", durable=False)
        ensure_migrated(server)
        with new_database(server, TEMPLATE) as url, tempfile.TemporaryDirectory() as home:
            log = _run(plan, url, Path(home), console)
    finally:
        remove(folder)
    show_summary(console, log, plan, time.monotonic() - began)
    return 1 if log.breaches else 0


def _run(plan: Plan, url: str, home: Path, console: Console) -> Log:
    words = "{task.description} {task.percentage:>5.1f} % {task.fields[told]}"
    columns = (BarColumn(), TextColumn(words), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=plan.days, told="")

        def show(at: datetime, log: Log) -> None:
            told = f"{at:%m-%d %H:%M}, {len(log.breaches)} breaches"
            if at.hour == at.minute == 0:
                console.print(f"{told}, {log.memory[-1] if log.memory else 0:.0f} MB, {progress.get_time():.0f} s")
            progress.update(bar, completed=(at - plan.start) / timedelta(days=1), told=told)

        return asyncio.run(run_soak(plan, url, home, show))


def _read_arguments() -> Plan:
    parser = argparse.ArgumentParser(prog="make soak", description="Simulated days of all chains.")
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--step", type=int, default=5, help="minutes between two rounds")
    parser.add_argument("--seed", type=int, default=int(time.time()) // 86_400)
    parser.add_argument("--log", default=os.devnull, help="file for the platform's log")
    parser.add_argument("--start", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC), default=START)
    given = parser.parse_args()
    logging.basicConfig(filename=given.log, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    return Plan(given.start, given.days, timedelta(minutes=given.step), given.seed)


if __name__ == "__main__":
    sys.exit(main())
