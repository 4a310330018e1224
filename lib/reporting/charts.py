"""The pictures of a report; one that cannot be drawn is named, and the report goes out without it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from lib.errors import FksError
from lib.notifications.messages import Attachment
from lib.reporting.allocation_chart import draw_allocation
from lib.reporting.curve_charts import draw_drawdown, draw_equity
from lib.reporting.report import Report

logger = logging.getLogger(__name__)


def draw_charts(report: Report) -> tuple[tuple[Attachment, ...], Report]:
    """Return the pictures that can be drawn, and the report with the reasons why others cannot."""
    whose = f" · {report.scope.account}" if report.scope.account else ""
    allocation = report.allocation
    wanted: list[tuple[str, Callable[[], bytes]]] = [
        ("equity", lambda: draw_equity(report.curve, f"Equity in {report.scope.quote_asset}{whose}")),
        ("drawdown", lambda: draw_drawdown(report.curve, f"Drawdown in %{whose}")),
    ]
    if allocation is not None:
        wanted.append(("allocation", lambda: draw_allocation(allocation, f"Allocation{whose}")))
    drawn, flaws = [], []
    for name, draw in wanted:
        try:
            drawn.append(Attachment(f"{name}.png", "image/png", draw()))
        except FksError as error:
            flaws.append(f"the {name} chart. {error}")
        except Exception as error:  # counted as a flaw: a report must not wait for its picture
            logger.exception("The %s chart could not be drawn", name)
            flaws.append(f"the {name} chart could not be drawn ({type(error).__name__})")
    return tuple(drawn), report.with_flaws(*flaws)
