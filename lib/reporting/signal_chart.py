"""The picture that goes with a BUY: candles, what the strategy compared, and where stop and target would be.

Drawn for a telephone held upright: large letters, few lines, everything within one screen. matplotlib is imported when
the first picture is drawn, without its global state (no pyplot), so that threads may draw at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = NDArray[np.float64]
PRICE = "price"
INCHES, DPI = (7.2, 9.0), 150  # 1080 x 1350 pixels
ROOM = 0.26  # of the width, to the right of the last candle
MARGINS = {
    "left": 0.05,
    "right": 0.87,
    "top": 0.905,
    "bottom": 0.075,
    "hspace": 0.2,
}  # laid out by hand: it halves the time
BODY, LEAST_BODY = 2.9, 1.0  # a candle's width, and its least height: a candle without any movement is seen; points
UP, DOWN, INK, FAINT = "#1a9850", "#d73027", "#1f2937", "#d1d5db"
COLOURS = ("#2563eb", "#d97706", "#7c3aed", "#0891b2", "#be185d")


@dataclass(frozen=True)
class SignalPicture:
    """What is drawn; every series has a value a bar, NaN where unknown.

    Attributes:
        title: One line.
        opened_at: Open time of each bar, UTC; the signal came when the last one closed.
        open: Quote per base, like high, low and close.
        high: Highest prices.
        low: Lowest prices.
        close: Last prices.
        lines: What the strategy compares, by panel and name; those of the panel "price" are drawn over the candles.
        stop_loss: Quote per base.
        take_profit: Quote per base.
    """

    title: str
    opened_at: NDArray[np.datetime64]
    open: Series
    high: Series
    low: Series
    close: Series
    lines: Mapping[tuple[str, str], Series]
    stop_loss: float
    take_profit: float


def draw_signal(picture: SignalPicture) -> bytes:
    """Return the picture as a PNG of 1080 x 1350 pixels.

    Raises:
        ValueError: The last bar, where the signal is, has no candle.
    """
    if not np.isfinite(picture.close[-1:]).any():
        raise ValueError("Expected the candle of the signal at the end, was none.")
    from matplotlib.figure import Figure  # half a second, which only a run with a BUY pays

    panels = list(dict.fromkeys(panel for panel, _ in picture.lines if panel != PRICE))
    figure = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    figure.suptitle(picture.title, x=0.02, y=0.985, ha="left", fontsize=18, fontweight="bold", color=INK)
    heights = [3.0] + [1.0] * len(panels)
    axes = figure.subplots(
        1 + len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights} | MARGINS
    )[:, 0]
    _draw_price(axes[0], picture)
    for axis, panel in zip(axes[1:], panels, strict=True):
        _draw_lines(axis, panel, picture)
        axis.margins(y=0.15)
        _tidy(axis)
    _label_time(axes[-1], picture)
    return _save(figure)


def _draw_price(axis: Axes, picture: SignalPicture) -> None:
    _draw_candles(axis, picture)
    _draw_lines(axis, PRICE, picture)
    _draw_level(axis, "take profit", picture.take_profit, picture, UP)
    _draw_level(axis, "stop loss", picture.stop_loss, picture, DOWN)
    _mark_buy(axis, picture)
    axis.margins(y=0.14)  # room for what is written beyond stop and target
    _tidy(axis)


def _draw_level(axis: Axes, name: str, value: float, picture: SignalPicture, colour: str) -> None:
    """Draw a dashed line with its name on the side that is away from the price."""
    price = float(picture.close[-1])
    side = 1 if value > price else -1
    axis.axhline(value, color=colour, linewidth=2, linestyle="--")
    axis.annotate(
        f"{name}\n{_number(value)}\n{100 * (value / price - 1):+.1f} %",
        (0.995, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 6 * side),
        textcoords="offset points",
        va="bottom" if side > 0 else "top",
        ha="right",
        color=colour,
        fontsize=13,
        fontweight="bold",
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
        zorder=4,
    )


def _mark_buy(axis: Axes, picture: SignalPicture) -> None:
    """Point at the last close from the right, where room is kept free, so that no candle is hidden."""
    axis.annotate(
        f"BUY\n{_number(float(picture.close[-1]))}",
        (len(picture.close) - 0.5, float(picture.close[-1])),
        xytext=(20, 0),
        textcoords="offset points",
        ha="left",
        va="center",
        multialignment="center",
        fontsize=14,
        fontweight="bold",
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": INK},
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 2.5, "shrinkB": 0},
        zorder=6,
    )


def _draw_candles(axis: Axes, picture: SignalPicture) -> None:
    bars = np.arange(len(picture.close))
    rises = picture.close >= picture.open
    lower, upper = np.minimum(picture.open, picture.close), np.maximum(picture.open, picture.close)
    for colour, which in ((UP, rises), (DOWN, picture.close < picture.open)):
        axis.vlines(bars[which], picture.low[which], picture.high[which], color=colour, linewidth=1)
        axis.vlines(bars[which], lower[which], upper[which], color=colour, linewidth=BODY)
        middle = (lower[which] + upper[which]) / 2
        axis.plot(bars[which], middle, "_", color=colour, markersize=BODY, markeredgewidth=LEAST_BODY)


def _draw_lines(axis: Axes, panel: str, picture: SignalPicture) -> None:
    """Draw a panel's lines, named above it; levels are dotted, and named by the number they stand at."""
    drawn = {name: values for (where, name), values in picture.lines.items() if where == panel}
    levels = {name: values for name, values in drawn.items() if np.ptp(values) == 0}
    for name, values in levels.items():
        axis.axhline(values[-1], color=INK, linewidth=1.5, linestyle=":")
        axis.annotate(
            name,
            (0.99, values[-1]),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=12,
            color=INK,
        )
    for number, (name, values) in enumerate((name, values) for name, values in drawn.items() if name not in levels):
        axis.plot(np.arange(len(values)), values, label=name, linewidth=2, color=COLOURS[number % len(COLOURS)])
    if len(drawn) > len(levels):
        axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0, fontsize=12, frameon=False, ncols=3)


def _label_time(axis: Axes, picture: SignalPicture) -> None:
    """Name five bars; the axis counts bars, as a missing candle must not tear the picture apart."""
    count = len(picture.opened_at)
    places = np.unique(np.linspace(0, count - 1, min(5, count)).round().astype(int))
    instants = [picture.opened_at[place].astype("datetime64[m]").item() for place in places]
    axis.set_xticks(places, [f"{instant:%b %d}\n{instant:%H:%M}" for instant in instants], fontsize=13)
    axis.set_xlim(-1, count * (1 + ROOM))


def _tidy(axis: Axes) -> None:
    axis.grid(color=FAINT, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.yaxis.tick_right()
    axis.yaxis.set_major_formatter(lambda value, _: _number(value))
    axis.tick_params(labelsize=13, length=0)
    for side in axis.spines.values():
        side.set_visible(False)


def _number(value: float) -> str:
    decimals = max(0, 4 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _save(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
