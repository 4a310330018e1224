"""A process that analyzes HIGH risk and is killed between recording the message and storing the snapshot."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lib.adapters.database.engine import make_engine
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.risk import DatabaseRisk, DatabaseRiskBook
from lib.risk.analysis import analyze_risk
from lib.risk.options import RiskOptions
from lib.risk.stores import RiskSnapshot
from tests.portfolio.hand_exchange import HandClock
from tests.portfolio.samples import ACCOUNT
from tests.risk.conftest import HandEquity
from tests.risk.samples import hold


class DeadlyRisk(DatabaseRisk):
    """Ends its own process where others store the snapshot."""

    @contextmanager
    def open_risk(self, account: str) -> Iterator[DatabaseRiskBook]:
        with super().open_risk(account) as book:
            yield DeadlyBook(book._connection, account)


class DeadlyBook(DatabaseRiskBook):
    def save(self, snapshot: RiskSnapshot) -> None:
        recorded = self._connection.exec_driver_sql("SELECT count(*) FROM notifications").scalar_one()
        print("recorded", recorded, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    engine = make_engine(sys.argv[1])
    analyze_risk(
        account=ACCOUNT,
        state=hold("1000", SOL="9000"),
        history=DatabaseHistory(engine),
        equity=HandEquity(),
        store=DeadlyRisk(engine),
        clock=HandClock(),
        options=RiskOptions(),
    )
