"""The picture of an allocation: where equity is, and where it should be.

Drawn for a telephone held upright. matplotlib is imported when the first picture is drawn, without its global state (no
pyplot), so that threads may draw at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from lib.allocation.drift import Allocation, Drift
from lib.allocation.targets import Bucket

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES, DPI = (7.2, 9.0), 150  # 1080 x 1350 pixels
MARGINS = {"left": 0.17, "right": 0.97, "top": 0.86, "bottom": 0.02, "hspace": 0.18}  # laid out by hand
MOST_ASSETS, MOST_OTHERS = 14, 3
LONGEST_NAME = 9
THICK = 0.62  # of a row
ROOM = 1.47  # of the longest bar: the numbers stand beside it
INSIDE, OUTSIDE, INK = "#2563eb", "#c2570c", "#1f2937"


class Row(NamedTuple):
    """One bar: percent of equity now and wanted."""

    name: str
    now: float
    target: float
    is_off: bool


def draw_allocation(allocation: Allocation, title: str) -> bytes:
    """Return the picture as a PNG of 1080 x 1350 pixels: buckets above, assets below, each to a scale of its own.

    A bar is what there is, the line across it the target; orange is outside the band.
    """
    from matplotlib.figure import Figure  # half a second, which only a run that draws pays

    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    figure.suptitle(title, x=0.02, y=0.985, ha="left", fontsize=19, fontweight="bold", color=INK)
    band = f"{100 * allocation.band:.2f}".rstrip("0").rstrip(".")
    words = f"bar: now      line: target      orange: off by more than {band} points"
    figure.text(0.02, 0.918, words, fontsize=13, color=INK)
    panels = _list_buckets(allocation), _list_assets(allocation)
    heights = [len(rows) for rows in panels]
    axes = figure.subplots(2, 1, gridspec_kw={"height_ratios": heights} | MARGINS)
    for axis, rows, name in zip(axes, panels, ("Share of equity, now → target", "Assets"), strict=True):
        _draw_rows(axis, rows)
        axis.set_title(name, loc="left", x=-0.185, fontsize=14, color=INK, fontweight="bold")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _list_buckets(allocation: Allocation) -> list[Row]:
    """The other bucket is shown when there is something in it."""
    shown = [one for one in allocation.buckets if one.bucket is not Bucket.OTHER or one.value or one.target]
    return [_to_row(one, allocation) for one in shown]


def _list_assets(allocation: Allocation) -> list[Row]:
    """The furthest from their targets in the operator's order, then the largest of what is held besides."""
    wanted = [one for one in allocation.assets if one.bucket is not Bucket.OTHER]
    others = [one for one in allocation.assets if one.bucket is Bucket.OTHER]
    furthest = sorted(wanted, key=lambda one: -abs(one.off))[:MOST_ASSETS]
    shown = [one for one in wanted if one in furthest] + others[:MOST_OTHERS]
    rows = [_to_row(one, allocation) for one in shown]
    if rest := [one for one in allocation.assets if one not in shown]:
        now, target = (100 * float(sum(getattr(one, name) for one in rest)) for name in ("ratio", "target"))
        rows.append(Row(f"{len(rest)} more", now, target, any(map(allocation.is_off, rest))))
    return rows


def _to_row(one: Drift, allocation: Allocation) -> Row:
    return Row(one.name[:LONGEST_NAME], 100 * float(one.ratio), 100 * float(one.target), allocation.is_off(one))


def _draw_rows(axis: Axes, rows: Sequence[Row]) -> None:
    longest = max((max(row.now, row.target) for row in rows), default=0) or 1.0
    for place, row in enumerate(rows):
        colour = OUTSIDE if row.is_off else INSIDE
        axis.barh(place, row.now, height=THICK, color=colour)
        axis.vlines(row.target, place - 0.46, place + 0.46, color=INK, linewidth=4)
        axis.text(
            longest * 1.04,
            place,
            f"{row.now:.1f} → {row.target:.1f} %",
            va="center",
            fontsize=15,
            color=OUTSIDE if row.is_off else INK,
            fontweight="bold" if row.is_off else "normal",
        )
    axis.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=15, color=INK)
    axis.set_xlim(0, longest * ROOM)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xticks([])
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
