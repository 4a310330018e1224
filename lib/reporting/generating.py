"""Generating a report: gather, draw, render, keep, and tell people."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lib.notifications.messages import LARGEST_ATTACHMENT_BYTES, Attachment
from lib.portfolio.accounts import Account
from lib.ports import Clock
from lib.reporting.charts import draw_charts
from lib.reporting.gathering import Sources, gather_report
from lib.reporting.headline import write_headline
from lib.reporting.message import write_report
from lib.reporting.rendering import render_html, render_markdown
from lib.reporting.report import Report, ReportType
from lib.reporting.runs import RunHistory
from lib.reporting.stores import WrittenReport
from lib.results import Item, Status, TaskResult, calc_status

TASK = "generate_report"
LONGEST_ACCOUNT = 60  # characters, in a file's name
logger = logging.getLogger(__name__)


class ReportResult(TaskResult):
    """The result of `generate_report`.

    Attributes:
        markdown: The report.
        charts: Its pictures.
        path: Its HTML file; None where that could not be written.
    """

    markdown: str = ""
    charts: tuple[Attachment, ...] = ()
    path: str | None = None

    def render_tables(self) -> list[str]:
        """The whole report."""
        return [self.markdown]


@dataclass(frozen=True)
class Desk:
    """Where a report is written.

    Attributes:
        sources: Where its contents come from, and where it is kept.
        folder: Of the HTML files; made when it is not there.
        clock: Now.
    """

    sources: Sources
    folder: Path
    clock: Clock


def generate_report(
    kind: ReportType, accounts: Sequence[Account], history: RunHistory, desk: Desk, *, key: str
) -> ReportResult:
    """Write a report of the accounts together, keep it, and record the message that brings it to people.

    What cannot be had or drawn is left out, named in every rendering, and makes the result partial; the report goes
    out all the same. The row and the message are stored in one transaction.

    Args:
        kind: Daily, weekly or monthly.
        accounts: At least one; those of another quote asset than the first are left out, which is named.
        history: The period's runs.
        desk: Where it is written.
        key: The run's id: what is generated again with it is told once.

    Raises:
        DatabaseUnavailable: Nothing was stored and nobody told; trying again is safe.
    """
    started_at = desk.clock.now()
    told = [one for one in accounts if one.quote_asset == accounts[0].quote_asset]
    report = gather_report(kind, told, desk.sources, history, started_at)
    report = report.with_flaws(
        *(f"account {one.name}: its amounts are in {one.quote_asset}" for one in accounts if one not in told)
    )
    charts, report = draw_charts(report)
    path, report = _save_page(report, charts, desk.folder)
    content = render_html(report, charts)
    page = Attachment(name_file(report), "text/html", content) if len(content) <= LARGEST_ATTACHMENT_BYTES else None
    markdown, headline = render_markdown(report), write_headline(report)
    written = WrittenReport(
        kind=kind.value,
        account=report.scope.account,
        last_day=report.period.last_day,
        created_at=started_at,
        headline=headline,
        markdown=markdown,
        path=str(path) if path else None,
        flaws=report.flaws,
    )
    is_told = desk.sources.reports.save_report(written, write_report(report, charts, page, key=key))
    items = _list_items(report, headline, path)
    return ReportResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={f"{kind} reports": 1, "charts": len(charts), "messages": int(is_told)},
        items=items,
        started_at=started_at,
        finished_at=desk.clock.now(),
        markdown=markdown,
        charts=charts,
        path=str(path) if path else None,
    )


def name_file(report: Report) -> str:
    """Return ``daily-2026-11-22-demo.html``; what a file's name should not have becomes a dash."""
    account = re.sub(r"[^a-z0-9]+", "-", report.scope.account.lower()).strip("-")[:LONGEST_ACCOUNT]
    return f"{report.kind}-{report.period.last_day}{f'-{account}' if account else ''}.html"


def _save_page(report: Report, charts: Sequence[Attachment], folder: Path) -> tuple[Path | None, Report]:
    """Write the page under its name, at once and whole; an older one of the name is replaced."""
    path = folder / name_file(report)
    part = folder / f"{path.name}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it tells what people own
        part.write_bytes(render_html(report, charts))
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        logger.warning("The report could not be written to %s", path, exc_info=error)
        return None, report.with_flaws(f"the file {path} could not be written ({error.strerror}); make room there")
    return path, report


def _list_items(report: Report, headline: str, path: Path | None) -> tuple[Item, ...]:
    name = report.scope.name
    file = f", {path}" if path else ""
    return (
        Item(name=name, status=Status.OK, detail=f"{headline}{file}"),
        *(Item(name=f"{name} report", status=Status.PARTIAL, detail=flaw) for flaw in report.flaws),
    )
