"""The renderings of a report: Markdown for a run's artifact, and one HTML file that needs no other."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from tabulate import tabulate

from lib.notifications.messages import Attachment
from lib.reporting.account_sections import (
    show_accounts,
    show_allocation,
    show_orders,
    show_performance,
    show_positions,
    show_symbols,
    show_trend,
)
from lib.reporting.headline import list_concerns, list_figures, write_headline
from lib.reporting.platform_sections import show_freshness, show_risk, show_signals, show_troubles
from lib.reporting.report import Report
from lib.reporting.sections import Section, Tone

TEMPLATE = Path(__file__).parent / "report.html"
MARKS = {Tone.GOOD: "", Tone.BAD: "", Tone.WARN: "⚠️ ", Tone.PLAIN: ""}
ALIGNMENTS = {True: "right", False: "left"}


def list_sections(report: Report) -> list[Section]:
    """Return a report's sections in the order in which they are read."""
    shown = (
        show_accounts,
        show_performance,
        show_trend,
        show_positions,
        show_symbols,
        show_orders,
        show_allocation,
        show_risk,
        show_signals,
        show_freshness,
        show_troubles,
    )
    return [show(report) for show in shown]


def render_markdown(report: Report) -> str:
    """Render a report as Markdown, without its pictures."""
    parts = [f"#### {_name(report)}", f"**{write_headline(report)}**", _tell_terms(report)]
    concerns = list_concerns(report)
    parts.append("\n".join(f"- ⚠️ {_escape(concern)}" for concern in concerns) or "Nothing needs attention.")
    for section in list_sections(report):
        parts.append(f"##### {section.title}")
        if section.rows:
            parts.append(_render_table(section))
        if section.notes:
            parts.append("\n".join(f"- {_escape(note)}" for note in section.notes))
    return "\n\n".join(parts)


def _render_table(section: Section) -> str:
    rows = [[f"{MARKS[cell.tone]}{_escape(cell.text)}" for cell in row] for row in section.rows]
    align = [ALIGNMENTS[is_right] for is_right in section.aligned_right]
    return tabulate(rows, headers=section.names, tablefmt="pipe", disable_numparse=True, colalign=align)


def _escape(text: str) -> str:
    """What an exchange or an error says must not end a table's field or begin a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def render_html(report: Report, charts: Sequence[Attachment]) -> bytes:
    """Render a report as one HTML file with its pictures in it; everything that is told is escaped."""
    return (
        _load_template()
        .render(
            name=_name(report),
            headline=write_headline(report),
            figures=list_figures(report),
            concerns=list_concerns(report),
            charts=[(one.name.partition(".")[0], _to_address(one)) for one in charts],
            sections=list_sections(report),
            written=_tell_terms(report),
        )
        .encode()
    )


def _name(report: Report) -> str:
    return f"{report.title} · {report.scope.name}"


def _tell_terms(report: Report) -> str:
    at, asset = f"{report.created_at:%Y-%m-%d %H:%M}", report.scope.quote_asset
    return f"Written {at} UTC. Days are UTC; amounts without a name are in {asset}."


@cache
def _load_template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _to_address(picture: Attachment) -> str:
    return f"data:{picture.media_type};base64,{b64encode(picture.content).decode()}"
