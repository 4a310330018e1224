"""A program that archives or restores in children which die on the way: ``python -m tests.archive.worker``.

It reads one JSON object a line: `url` (of the database), `folder`, `now`, `action` ("archive" or "restore"), and how
the child ends: killed at its `step`-th report of progress, or `after` so many seconds. It answers with the child's exit
status: 0, minus a signal, or 1 with a traceback.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from datetime import datetime
from typing import Any

import tests.archive.filesystems  # noqa: F401 registers them
from lib.adapters.database.engine import make_engine
from lib.archive import parquet  # noqa: F401 imported once, before the children
from tests.archive.rooms import DECEMBER, JANUARY, Room
from tests.market.exchanges import DrivenClock


def work(given: dict[str, Any]) -> None:
    """Do the child's work; it may not live to see the end."""
    clock = DrivenClock(datetime.fromisoformat(given["now"]))
    room = Room(make_engine(given["url"]), clock, given["folder"], spared=0, timeframe="5m")
    reports = 0

    def show(done: int, total: int, what: str) -> None:
        nonlocal reports
        reports += 1
        if reports == given.get("step"):
            os.kill(os.getpid(), signal.SIGKILL)

    if "after" in given:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process at once, wherever it is
        signal.setitimer(signal.ITIMER_REAL, given["after"])
    if given["action"] == "archive":
        room.archive(show=show)
    else:
        room.restore(DECEMBER, JANUARY, show=show)


def main() -> None:
    """Answer every line."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                work(json.loads(line))
                os._exit(0)
            except Exception:  # noqa: BLE001 whatever it was, this child is not the parent
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
