"""All checks at once, each by itself: what one cannot see never keeps another from looking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments import halting, home
from deployments.addresses import usual_addresses
from deployments.doctor import exchange, failing, missing, running, telling
from deployments.doctor.findings import Check, Finding, Question, Situation, Verdict, found
from deployments.status import find_database
from lib.errors import FksError, SettingsError
from lib.results import render_count
from lib.settings import PROJECT_ROOT, SIMULATOR, Settings

CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (*running.CHECKS, *failing.CHECKS, *exchange.CHECKS, *missing.CHECKS, *telling.CHECKS),
        key=lambda check: list(Question).index(check.question),
    )
)
AT_ONCE = 8
MARKS = {Verdict.FINE: "[green]✓[/green]", Verdict.FINDING: "[red]✗[/red]", Verdict.UNKNOWN: "[yellow]?[/yellow]"}


@dataclass(frozen=True)
class Examined:
    """A check and what it says."""

    check: Check
    findings: tuple[Finding, ...]


def find_situation(settings: Settings, folder: Path, project: Path = PROJECT_ROOT) -> Situation:
    """Find out what there is to look at; what does not run is left out.

    Args:
        settings: The operator's.
        folder: Home of the stack.
        project: Folder of `prefect.yaml`.
    """
    record = home.load_record(folder)
    if settings.exchange == SIMULATOR and settings.exchange_url is None:
        address = record.simulator_url if record else None
        settings = settings.model_copy(update={"exchange_url": address or usual_addresses(settings).simulator_url})
    try:
        server: str | None = halting.find_server(folder)
    except SettingsError:
        server = None
    return Situation(settings, folder, datetime.now(UTC), server, find_database(settings, folder), project)


def examine(situation: Situation, checks: Sequence[Check] = CHECKS) -> list[Examined]:
    """Look at everything at once; the answers come in the order of the checks."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda check: _look(check, situation), checks))
    return [Examined(check, findings) for check, findings in zip(checks, found, strict=True)]


def _look(check: Check, situation: Situation) -> tuple[Finding, ...]:
    """Return what a check says; that it cannot look is a finding where nothing else would say why."""
    try:
        return tuple(check.look(situation))
    except FksError as error:
        if check.is_cause:
            return (found(str(error), ""),)
        return (Finding(Verdict.UNKNOWN, f"cannot be looked at: {error}"),)
    except Exception as error:  # noqa: BLE001 - counted as a finding; the other checks answer all the same
        return (found(f"the check itself failed: {type(error).__name__}: {error}", "please report it"),)


def count_findings(examined: Sequence[Examined]) -> int:
    """Return how many things are to be mended."""
    return sum(one.verdict is Verdict.FINDING for each in examined for one in each.findings)


def print_report(examined: Sequence[Examined], console: Console) -> None:
    """Show a table for each question, and how much there is to mend."""
    for question in Question:
        table = Table(title=question.value, title_justify="left", box=None, pad_edge=False)
        for heading in ("", "check", "what it saw", "what to do"):
            table.add_column(heading)
        for each in examined:
            for one in each.findings if each.check.question is question else ():
                table.add_row(MARKS[one.verdict], each.check.name, escape(one.what), escape(one.remedy))
        console.print(table)
    count = count_findings(examined)
    console.print(f"[red]{render_count(count, 'findings')}[/red]" if count else "[green]Nothing to mend.[/green]")


def render_json(examined: Sequence[Examined], at: datetime) -> str:
    """Return the report for scripts."""
    rows = [
        {"question": each.check.question, "check": each.check.name, "verdict": one.verdict}
        | {"what": one.what, "remedy": one.remedy}
        for each in examined
        for one in each.findings
    ]
    return json.dumps({"at": at.isoformat(), "findings": count_findings(examined), "checks": rows}, ensure_ascii=False)
