"""A normal market: the history is stored, positions are priced and watched, and nobody is alarmed."""

from __future__ import annotations

from datetime import UTC, datetime

from deployments.demo.stage import Books, Stage
from deployments.demo.tables import number, render_positions, render_series
from lib.adapters.database.overview import StoredSeries
from lib.market.timeframes import calc_newest_closed


def play_normal_market(stage: Stage) -> None:
    """Let the chain run once in a quiet market, on an empty database."""
    began_at = datetime.now(UTC)
    stage.run_chain()
    series, books = stage.read_series(), stage.read_books()
    stage.show(render_series(series), render_positions(books.held.values()))
    _expect_fresh(stage, series, began_at)
    _expect_complete(stage, series)
    expect_same_holdings(stage, books)
    _expect_watched_positions(stage, books)
    stage.expect("Nobody is alarmed", f"{len(books.messages)} messages in the outbox", holds=not books.messages)


def _expect_fresh(stage: Stage, series: list[StoredSeries], began_at: datetime) -> None:
    settings = stage.stack.settings
    wanted = len(settings.symbols) * len(settings.timeframes)
    fresh = [one for one in series if one.error is None and _is_fresh(one, began_at)]
    stage.expect(
        "Every series reaches to its last closed candle",
        f"{len(fresh)} of {wanted} ({len(settings.symbols)} symbols, {len(settings.timeframes)} timeframes)",
        holds=len(fresh) == len(series) == wanted,
    )


def _expect_complete(stage: Stage, series: list[StoredSeries]) -> None:
    stored, missing = sum(one.candles for one in series), sum(one.missing for one in series)
    absent = sum(one.verified_absent for one in series)
    stage.expect(
        "No candle is missing",
        f"{stored:,} stored, {missing:,} missing, {absent:,} that the exchange itself does not have",
        holds=stored > 0 and missing == 0,
    )


def _is_fresh(one: StoredSeries, began_at: datetime) -> bool:
    """Tell whether the newest candle is the last that was closed when the run began, or one that closed since."""
    first, last = (calc_newest_closed(at, one.series.timeframe) for at in (began_at, datetime.now(UTC)))
    return one.newest_at is not None and first <= one.newest_at <= last


def expect_same_holdings(stage: Stage, books: Books) -> None:
    """Expect positions and cash to be what the exchange itself says."""
    there = {asset: total for asset, total in stage.by_hand.fetch_totals().items() if total}
    ours = {symbol.partition("/")[0]: one.quantity for symbol, one in books.newest.items() if one.quantity}
    ours[stage.stack.settings.quote_asset] = books.cash
    stage.expect(
        "The books agree with the exchange to the last digit",
        ", ".join(f"{number(total)} {asset}" for asset, total in sorted(there.items())),
        holds=ours == there,
    )


def _expect_watched_positions(stage: Stage, books: Books) -> None:
    held = books.held.values()
    above = [one for one in held if one.valuation and one.stop_loss and one.stop_loss < one.valuation.price]
    stage.expect(
        "Every position is priced, and above its stop loss",
        f"{len(above)} of {len(held)}",
        holds=len(above) == len(held) > 0,
    )
