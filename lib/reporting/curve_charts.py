"""The pictures of equity and of its drawdown, drawn to be read on a telephone.

matplotlib is imported when the first picture is drawn, without its global state (no pyplot), so that threads may draw
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from lib.errors import DataError
from lib.reporting.report import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES, DPI = (7.2, 4.5), 150  # 1080 x 675 pixels
MARGINS = {"left": 0.115, "right": 0.875, "top": 0.80, "bottom": 0.10}
EQUITY, BENCHMARK, FALL, INK, FAINT = "#2563eb", "#d97706", "#d73027", "#1f2937", "#e5e7eb"
LETTERS = 13
LABEL_POINTS = 24.0  # high, with some air
AXIS_POINTS = INCHES[1] * 72 * (MARGINS["top"] - MARGINS["bottom"])
# Of years, months, days, hours, minutes and seconds; then where the next larger one begins.
FORMATS = {
    "formats": ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"],
    "zero_formats": ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
}


def draw_equity(curve: Curve, title: str) -> bytes:
    """Return equity beside what it would be in BTC with the same deposits, as a PNG of 1080 x 675 pixels.

    Deposits and withdrawals are marked where they happened.

    Raises:
        DataError: There are fewer than two balances.
    """
    figure, axis = _begin(curve, title)
    axis.plot(_instants(curve.at), curve.equity, color=EQUITY, linewidth=2.2, zorder=3)
    ends = {"equity": (curve.equity[-1], EQUITY)}
    words = f"equity {curve.equity[-1]:,.0f}"
    benchmark = np.array(curve.benchmark)
    if np.isfinite(benchmark).sum() > 1:
        axis.plot(_instants(curve.benchmark_at), benchmark, color=BENCHMARK, linewidth=1.6, linestyle="--", zorder=2)
        ends["BTC"] = (float(benchmark[np.isfinite(benchmark)][-1]), BENCHMARK)
        words += f"     the same money in BTC {ends['BTC'][0]:,.0f}"
    if curve.flows:
        words += "     ▲▼ paid in, out"
    for at, amount in curve.flows:
        sign = "^" if amount > 0 else "v"
        axis.plot(_instants([at]), [np.interp(at.timestamp(), _seconds(curve.at), curve.equity)], sign, color=INK, ms=9)
    _name_ends(axis, ends)
    figure.text(0.03, 0.845, words, fontsize=LETTERS, color=INK)
    return _save(figure)


def draw_drawdown(curve: Curve, title: str) -> bytes:
    """Return how far the account was below its peak, without what was paid in or out, as a PNG of 1080 x 675 pixels.

    Raises:
        DataError: There are fewer than two balances.
    """
    figure, axis = _begin(curve, title)
    growth = np.array(curve.growth)
    falls = 100 * (growth / np.maximum.accumulate(np.maximum(growth, 1e-12)) - 1)
    axis.fill_between(_instants(curve.at), falls, 0, color=FALL, alpha=0.25, linewidth=0)
    axis.plot(_instants(curve.at), falls, color=FALL, linewidth=1.8)
    deepest = float(falls.min())
    axis.set_ylim(min(1.12 * deepest, -0.1), 0)
    _name_ends(axis, {f"{falls[-1] + 0.0:.1f} %": (float(falls[-1]), FALL)})
    words = f"deepest {deepest:.1f} % on {curve.at[int(falls.argmin())]:%Y-%m-%d}" if deepest < 0 else "at its peak"
    figure.text(0.03, 0.845, f"{words}, deposits and withdrawals left out", fontsize=LETTERS, color=INK)
    return _save(figure)


def _begin(curve: Curve, title: str) -> tuple[Figure, Axes]:
    if len(curve.at) < 2:
        raise DataError(f"Expected two balances at least, was {len(curve.at)}. One is stored every quarter of an hour.")
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure  # half a second, which only a run that draws pays
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    first, last = f"{curve.at[0]:%d %b}", f"{curve.at[-1]:%d %b}"
    span = first if first == last else f"{first} to {last}"
    figure.suptitle(f"{title}, {span}", x=0.03, y=0.975, ha="left", fontsize=18, fontweight="bold", color=INK)
    axis = figure.subplots(gridspec_kw=MARGINS)
    locator = AutoDateLocator(minticks=3, maxticks=7, tz=UTC)  # type: ignore[no-untyped-call]  # matplotlib has none
    axis.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=UTC, show_offset=False, **FORMATS)  # type: ignore[no-untyped-call]  # as above
    axis.xaxis.set_major_formatter(formatter)
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _shorten(value)))
    axis.tick_params(length=0, labelsize=LETTERS, labelcolor=INK)
    axis.grid(color=FAINT, linewidth=1)
    axis.set_axisbelow(True)
    axis.margins(x=0)
    for side in axis.spines.values():
        side.set_visible(False)
    return figure, axis


def _shorten(value: float) -> str:
    return f"{value / 1e6:,.10g} M" if abs(value) >= 1e6 else f"{value:,.10g}"


def _name_ends(axis: Axes, ends: dict[str, tuple[float, str]]) -> None:
    """Write beside the last values, over the numbers of the axis there; one that would hide another is moved away."""
    low, high = axis.get_ylim()
    heights = [(value - low) / (high - low) * AXIS_POINTS for value, _ in ends.values()]
    for (name, (value, colour)), shift in zip(ends.items(), find_shifts(heights), strict=True):
        axis.annotate(
            name,
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(4, shift),
            textcoords="offset points",
            va="center",
            color="white",
            fontsize=LETTERS,
            fontweight="bold",
            bbox={"boxstyle": "square,pad=0.25", "facecolor": colour, "edgecolor": "none"},
            zorder=6,
        )


def find_shifts(heights: Sequence[float]) -> list[float]:
    """Return by how much to move labels at these heights up so that each is above the next lower one; in points.

    At 0, 10 and 100, of labels 24 high: nothing, 14, nothing.
    """
    shifts = [0.0] * len(heights)
    floor = float("-inf")
    for place in sorted(range(len(heights)), key=lambda place: heights[place]):
        shifts[place] = max(0.0, floor - heights[place])
        floor = heights[place] + shifts[place] + LABEL_POINTS
    return shifts


def _instants(instants: Sequence[datetime]) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.array([at.astimezone(UTC).replace(tzinfo=None) for at in instants], dtype="datetime64[us]")


def _seconds(instants: Sequence[datetime]) -> list[float]:
    return [at.timestamp() for at in instants]


def _save(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
