"""The picture of a backtest: the account beside having held, its drawdown, and the trades on the prices.

matplotlib is imported when the first picture is drawn, without its global state (no pyplot), so that threads may draw
at once.
"""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lib.research.backtest import Backtest
from lib.research.trades import Trades
from lib.strategy.conditions import format_float

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = NDArray[np.float64]
Instants = NDArray[np.datetime64]

WIDTH, DPI = 11.0, 110
MOST_POINTS = 2400  # of a line: twice as many as the picture has columns
MOST_PRICES = 6  # symbols whose prices are drawn
HEIGHTS = {"equity": 3.2, "drawdown": 1.6, "price": 3.2}  # inches
ACCOUNT, HELD, FALL, PRICE, INK, FAINT = "#2563eb", "#d97706", "#d73027", "#6b7280", "#1f2937", "#e5e7eb"
WON, LOST = "#1a9850", "#d73027"


def draw_backtest(done: Backtest, most_prices: int = MOST_PRICES) -> bytes:
    """Return the picture as a PNG, with prices and trades of so many symbols at most."""
    from matplotlib.figure import Figure  # half a second, which only a run that draws pays

    symbols = done.candles.symbols[:most_prices]
    heights = [HEIGHTS["equity"], HEIGHTS["drawdown"], *[HEIGHTS["price"]] * len(symbols)]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights})
    _draw_equity(axes[0], done)
    _draw_drawdown(axes[1], done)
    for row, (axis, symbol) in enumerate(zip(axes[2:], symbols, strict=True)):
        draw_price(axis, symbol, row, done)
    for axis in axes:
        tidy(axis)
    for axis in (axes[0], *axes[2:]):
        axis.yaxis.set_major_formatter(lambda value, _: format_float(value))
    label_time(axes[-1])
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def thin(values: Series, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Return the bars to draw: each piece's lowest and highest, so that no fall is drawn away.

    >>> thin(np.array([1.0, 5.0, 2.0, 3.0, 0.0, 4.0]), most=4).tolist()
    [0, 1, 4, 5]
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    edges = np.linspace(0, count, most // 2 + 1).astype(np.int64)
    known = np.where(np.isfinite(values), values, np.nanmean(values))
    pieces = [known[begin:end] for begin, end in pairwise(edges.tolist())]
    lows = edges[:-1] + np.array([piece.argmin() for piece in pieces])
    highs = edges[:-1] + np.array([piece.argmax() for piece in pieces])
    return np.unique(np.concatenate([lows, highs]))


def _draw_equity(axis: Axes, done: Backtest) -> None:
    opened_at, equity = done.candles.opened_at, done.simulation.equity
    for name, values, colour in (("account", equity, ACCOUNT), ("bought and held", done.held_equity, HELD)):
        _plot(axis, opened_at, values, colour, name)
    axis.axhline(done.rules.cash, color=INK, linewidth=0.8, linestyle=":")
    axis.set_title("Equity", loc="left", fontsize=13, fontweight="bold", color=INK)
    axis.legend(loc="upper left", fontsize=10, frameon=False, ncols=2)


def _draw_drawdown(axis: Axes, done: Backtest) -> None:
    equity = done.simulation.equity
    falls = 100 * (equity / np.maximum.accumulate(np.maximum(equity, done.rules.cash)) - 1)
    places = thin(falls)
    axis.fill_between(done.candles.opened_at[places], falls[places], 0, color=FALL, alpha=0.3, linewidth=0)
    axis.set_title(f"Drawdown, % (deepest {falls.min():.1f})", loc="left", fontsize=13, fontweight="bold", color=INK)


def draw_price(axis: Axes, symbol: str, row: int, done: Backtest) -> None:
    """Draw the prices of one symbol with its trades."""
    candles, trades = done.candles, done.simulation.trades
    _plot(axis, candles.opened_at, candles.close[row], PRICE, symbol)
    _draw_trades(axis, candles.opened_at, trades, trades.row == row)
    title = f"{symbol} {candles.timeframe}: ▲ bought, ▼ sold, green with profit"
    axis.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK)


def _draw_trades(axis: Axes, opened_at: Instants, trades: Trades, mine: NDArray[np.bool_]) -> None:
    for colour, which in ((WON, mine & (trades.profit > 0)), (LOST, mine & (trades.profit <= 0))):
        bought, sold = opened_at[trades.entry_bar[which]], opened_at[trades.exit_bar[which]]
        prices = np.array([trades.entry_price[which], trades.exit_price[which]])
        axis.plot(np.array([bought, sold]), prices, color=colour, linewidth=1.2)
        axis.plot(bought, prices[0], "^", color=colour, markersize=4.5)
        axis.plot(sold, prices[1], "v", color=colour, markersize=4.5)


def _plot(axis: Axes, opened_at: Instants, values: Series, colour: str, name: str) -> None:
    places = thin(values)
    axis.plot(opened_at[places], values[places], color=colour, linewidth=1.1, label=name)


def label_time(axis: Axes) -> None:
    """Let the axis say days, months and years as there is room for."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=10)  # type: ignore[no-untyped-call]  # matplotlib has none
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above


def tidy(axis: Axes) -> None:
    """Take away what is no data."""
    axis.grid(color=FAINT, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.margins(x=0.01)
    axis.tick_params(length=0, labelsize=10, labelcolor=INK)
    for side in axis.spines.values():
        side.set_visible(False)
