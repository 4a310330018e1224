"""Which accounts a report may be of, through the platform as a flow opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.errors import OperatorError
from lib.portfolio.accounts import Account, AccountKind
from lib.reporting.report import ReportType
from lib.reporting.runs import RunHistory
from lib.results import Status
from lib.tasks import performance, reports
from tests.platforms import World


async def test_an_account_that_left_the_settings_has_a_report_and_one_that_never_was_has_none(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_HOME", str(tmp_path))
    async with world.platform() as platform:
        gone = Account("gone", AccountKind.LIVE, "simulator", "USDT")
        platform.portfolio.ensure_account(gone, platform.clock.now())
        written = await reports.generate_report(platform, "gone", ReportType.WEEKLY, RunHistory(), key="run")
        assert written.path is not None and Path(written.path).parent == tmp_path / "reports"
        assert Path(written.path).name.endswith("-gone.html")
        measured = await performance.calculate_metrics(platform, "gone", 7)
        assert measured.status is Status.SKIPPED
        with pytest.raises(OperatorError, match="nobody is not registered"):
            await reports.generate_report(platform, "nobody", ReportType.DAILY, RunHistory(), key="run")
