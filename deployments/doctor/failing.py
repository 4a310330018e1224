"""Why a task fails: the last errors of each flow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deployments.doctor.findings import Check, Finding, Question, Situation, fine, found
from lib.adapters import orchestrator
from lib.results import render_count

LOOKS_BACK = timedelta(hours=24)


def look_at_failures(situation: Situation) -> Iterator[Finding]:
    """List each flow that failed in the last day, with the newest error."""
    with situation.open_server() as api:
        failures = orchestrator.load_failures(api.ask, situation.now - LOOKS_BACK)
    page = (situation.server or "").removesuffix("/api") + "/runs/flow-run/"
    for one in failures:
        count = render_count(one.runs, "times")
        words = f"{one.flow} failed {count} in 24 h, last {one.last.at:%m-%d %H:%M} UTC: {one.last.message}"
        if one.is_over:
            yield fine(f"{words} (a later run completed)")
        else:
            yield found(words, f"the error names the remedy, docs/operations.md the common ones; {page}{one.last.id}")
    if not failures:
        yield fine("no run failed in the last 24 hours")


CHECKS = (Check(Question.FAILING, "last failures", look_at_failures),)
