"""The pictures of a search: curves, parameters tried, train against test, and trades on prices.

Drawn as WebP, to be read on a telephone. matplotlib is imported when the first picture is drawn, without its global
state (no pyplot), so that threads may draw at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lib.indicators.work import to_numpy
from lib.reporting.backtest_chart import draw_price, label_time, tidy
from lib.reporting.influence import Grid, make_grid
from lib.research.backtest import Backtest
from lib.research.search import SearchPlan
from lib.research.searching import Searched

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

WIDTH, DPI = 7.2, 150  # 1080 pixels
LETTERS, HEADING = 13, 16
QUALITY = 90  # of WebP: a third of the bytes of PNG, and a page of every night is kept for months
BEST, IN_FORCE, AFTER, FALL, INK, FAINT = "#2563eb", "#6b7280", "#d97706", "#d73027", "#1f2937", "#9ca3af"
MOST_NUMBERS = 80  # cells of a heat map: with more their numbers could not be read
MOST_VALUES = 12  # along an axis of a heat map that are named
WIDEST = (0.5, 99.5)  # percentiles: a window without movement may have a Sharpe ratio of any size


def draw_curves(done: Searched, plan: SearchPlan) -> bytes:
    """Return growth and drawdown of the best, of what was chosen window by window, and of what is in force."""
    found = done.search
    days = np.arange(to_numpy(done.starts_at), to_numpy(done.ends_at), np.timedelta64(1, "D"))
    tested = slice(plan.train_days, plan.train_days + len(found.walk.returns))
    curves = (
        ("best of all, known afterwards", BEST, days, found.best_returns),
        ("in force", IN_FORCE, days, found.in_force_returns),
        ("out of sample", AFTER, days[tested], found.walk.returns),
    )
    figure = _begin(7.4)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.2, 1]})
    for name, colour, at, returns in curves:
        growth = np.cumprod(1 + returns)
        falls = 100 * (growth / np.maximum.accumulate(np.maximum(growth, 1.0)) - 1)
        upper.plot(at, 100 * (growth - 1), color=colour, linewidth=2, label=f"{name}  {100 * (growth[-1] - 1):+.1f} %")
        lower.plot(at, falls, color=colour, linewidth=1.6)
    upper.axhline(0, color=INK, linewidth=0.8, linestyle=":")
    _title(upper, "Return, % (mean of one account a symbol)")
    _title(lower, "Drawdown, %")
    upper.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), fontsize=LETTERS, frameon=False, ncols=1)
    _finish((upper, lower))
    label_time(lower)
    return _save(figure)


def draw_heat_map(done: Searched, plan: SearchPlan) -> bytes | None:
    """Return the two most influential parameters with the mean Sharpe ratio of each pair; None where there are none."""
    grid = make_grid(done.search)
    if grid is None:
        return None
    from matplotlib.colors import TwoSlopeNorm

    figure = _begin(max(4.6, min(7.4, 2.4 + 0.55 * len(grid.up.values))))
    axis = figure.subplots()
    known = grid.sharpes[np.isfinite(grid.sharpes)]
    reach = max(float(np.abs(known).max()), 0.1) if len(known) else 1.0
    image = axis.imshow(grid.sharpes, cmap="RdYlGn", norm=TwoSlopeNorm(0, -reach, reach), aspect="auto", origin="lower")
    _write_numbers(axis, grid)
    _mark(axis, grid.best, BEST, "solid")
    if grid.in_force is not None:
        _mark(axis, grid.in_force, INK, "dashed")
    _name_values(axis, grid)
    bar = figure.colorbar(image, ax=axis, pad=0.02)
    bar.set_label(f"Sharpe, a year's, last {plan.train_days} training days", fontsize=LETTERS, color=INK)
    bar.ax.tick_params(length=0, labelsize=LETTERS - 1, labelcolor=INK)
    bar.outline.set_visible(False)
    _title(axis, f"{len(done.search.tried)} combinations tried, mean of each pair")
    for side in axis.spines.values():
        side.set_visible(False)
    return _save(figure)


def draw_train_test(done: Searched, plan: SearchPlan) -> bytes:
    """Return each combination's Sharpe ratio in each training window against that on the days after it."""
    walk = done.search.walk
    figure = _begin(6.4)
    axis = figure.subplots()
    known = np.isfinite(walk.train) & np.isfinite(walk.test)
    axis.plot(walk.train[known], walk.test[known], ".", color=FAINT, markersize=4, alpha=0.35, label="combination")
    windows = np.arange(len(walk.chosen))
    train, test = walk.train[windows, walk.chosen], walk.test[windows, walk.chosen]
    axis.plot(train, test, "o", color=AFTER, markeredgecolor="white", markersize=9, label="the one that was chosen")
    axis.axhline(0, color=INK, linewidth=0.8)
    axis.axvline(0, color=INK, linewidth=0.8)
    if known.any():
        reach = [np.percentile(values[known], WIDEST) for values in (walk.train, walk.test)]
        _keep_within(axis, reach, train, test)
    axis.axline((0, 0), slope=1, color=IN_FORCE, linewidth=1, linestyle="--")
    axis.set_xlabel(f"Sharpe on {plan.train_days} training days", fontsize=LETTERS, color=INK)
    axis.set_ylabel(f"Sharpe on the {plan.test_days} days after", fontsize=LETTERS, color=INK)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), fontsize=LETTERS, frameon=False, ncols=2)
    traded = np.isfinite(test)
    _title(axis, f"Train against test: {(test[traded] > 0).sum()} of {traded.sum()} windows won")
    _finish((axis,))
    return _save(figure)


def draw_trades(examples: Sequence[Backtest]) -> bytes | None:
    """Return prices with the trades of the best combination, a panel for each example; None where there is none."""
    if not examples:
        return None
    figure = _begin(0.4 + 3.4 * len(examples))
    axes = list(figure.subplots(len(examples), 1, squeeze=False)[:, 0])
    for axis, done in zip(axes, examples, strict=True):
        draw_price(axis, done.candles.symbols[0], 0, done)
        count = done.metrics.trades
        earned = f"{100 * done.metrics.growth.total_return:+.1f} %"
        _title(axis, f"{done.candles.symbols[0]}: {count} trades, {earned} in {done.metrics.days:.0f} days")
        label_time(axis)
    _finish(axes)
    return _save(figure)


def _write_numbers(axis: Axes, grid: Grid) -> None:
    if grid.sharpes.size > MOST_NUMBERS:
        return
    reach = np.nanmax(np.abs(grid.sharpes))
    for (row, column), value in np.ndenumerate(grid.sharpes):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.75 * reach else INK
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=LETTERS - 2, color=colour)


def _mark(axis: Axes, place: tuple[int, int], colour: str, style: str) -> None:
    from matplotlib.patches import Rectangle

    row, column = place
    axis.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=2.6, linestyle=style)
    )


def _name_values(axis: Axes, grid: Grid) -> None:
    for influence, side, name in ((grid.across, axis.xaxis, "x"), (grid.up, axis.yaxis, "y")):
        step = -(-len(influence.values) // MOST_VALUES)
        places = list(range(0, len(influence.values), step))
        side.set_ticks(places, [f"{influence.values[place]:g}" for place in places])
        label = f"{influence.name} (explains {100 * influence.share:.0f} % of the differences)"
        (axis.set_xlabel if name == "x" else axis.set_ylabel)(label, fontsize=LETTERS, color=INK)
    axis.tick_params(length=0, labelsize=LETTERS - 1, labelcolor=INK)


def _keep_within(axis: Axes, reach: Sequence[Any], train: Floats, test: Floats) -> None:
    """Show all that was chosen, and all combinations but the most extreme."""
    limits = []
    for (low, high), chosen in zip(reach, (train, test), strict=True):
        lowest, highest = float(np.nanmin([low, *chosen, 0])), float(np.nanmax([high, *chosen, 0]))
        room = 0.05 * max(highest - lowest, 0.1)
        limits.append((lowest - room, highest + room))
    axis.set_xlim(limits[0])
    axis.set_ylim(limits[1])


def _begin(height: float) -> Figure:
    from matplotlib.figure import Figure  # half a second, which only a run that draws pays

    return Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained")


def _title(axis: Axes, words: str) -> None:
    axis.set_title(words, loc="left", fontsize=HEADING, fontweight="bold", color=INK)


def _finish(axes: Sequence[Axes]) -> None:
    for axis in axes:
        tidy(axis)
        axis.tick_params(labelsize=LETTERS)


def _save(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="webp", pil_kwargs={"quality": QUALITY, "method": 4})
    return buffer.getvalue()
