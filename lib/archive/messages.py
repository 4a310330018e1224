"""What people are told of the archive."""

from __future__ import annotations

from datetime import datetime

from lib.archive.report import ArchiveResult
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.results import render_count

MOST_LINES = 5


def write_incomplete(result: ArchiveResult, at: datetime) -> Message:
    """Return the message that some of a night's work failed; one a day.

    Where everything failed there is no result: the run fails, which is told anyway.
    """
    failed = result.failed
    lines = [f"{item.name}: {item.detail}" for item in failed[:MOST_LINES]]
    if rest := failed[MOST_LINES:]:
        lines.append(f"And {len(rest)} more, in the run's artifact.")
    lines.append(
        "Nothing was lost: what could not be archived is still stored, and is tried again every night.\n"
        "What to do: mend what the lines above name; when they name nothing that you can mend, see whether the next "
        "night passes."
    )
    return compose(
        MessageType.OPERATIONS,
        Severity.WARNING,
        f"Not archived: {render_count(len(failed), 'items')}",
        "\n".join(lines),
        key=f"archive-incomplete:{at:%Y-%m-%d}",
        at=at,
    )
