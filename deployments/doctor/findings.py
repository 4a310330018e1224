"""What a check says: a finding with its remedy, that all is well, or that it could not look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from deployments.environment import find_login
from deployments.prefect_api import PrefectApi
from lib.errors import EnvironmentRefused
from lib.settings import Settings


class Question(StrEnum):
    """What people ask when something is wrong."""

    RUNNING = "A task does not run"
    FAILING = "A task fails"
    MISSING = "Data is missing"
    TOLD = "Nobody is told"


class Verdict(StrEnum):
    """`UNKNOWN`: what the check asks does not answer; another check says why."""

    FINE = "fine"
    FINDING = "finding"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What a check says.

    Attributes:
        verdict: Whether something is to be done.
        what: What it saw.
        remedy: What to do; empty where all is well.
    """

    verdict: Verdict
    what: str
    remedy: str = ""


def fine(what: str) -> Finding:
    """Return that all is well."""
    return Finding(Verdict.FINE, what)


def found(what: str, remedy: str) -> Finding:
    """Return something to be mended."""
    return Finding(Verdict.FINDING, what, remedy)


@dataclass(frozen=True)
class Situation:
    """What the checks look at.

    Attributes:
        settings: The operator's; of a simulator its address is known.
        folder: Home of the stack.
        now: UTC.
        server: The Prefect API; None where none runs and PREFECT_API_URL is not set.
        database_url: Ours; None where the embedded database does not run.
        project: Folder of `prefect.yaml`.
    """

    settings: Settings
    folder: Path
    now: datetime
    server: str | None
    database_url: str | None
    project: Path

    def open_server(self) -> PrefectApi:
        """Return a client of the Prefect server; use it as a context manager.

        Raises:
            EnvironmentRefused: There is no server to ask.
        """
        if self.server is None:
            raise EnvironmentRefused("no Prefect server runs")
        return PrefectApi(self.server, find_login(), patience_seconds=10)

    def find_database(self) -> str:
        """Return the database's URL.

        Raises:
            EnvironmentRefused: It does not run.
        """
        if self.database_url is None:
            raise EnvironmentRefused("the database does not run")
        return self.database_url


@dataclass(frozen=True)
class Check:
    """One look at one thing.

    Attributes:
        question: What people ask that it answers.
        name: What it looks at.
        look: Does it; what it raises of `FksError` means that it could not look.
        is_cause: It looks at what others depend on: where it cannot look, that itself is the finding.
    """

    question: Question
    name: str
    look: Callable[[Situation], Iterable[Finding]]
    is_cause: bool = False
