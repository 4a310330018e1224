"""A normal market: the history is stored, positions are priced and watched, and nobody is alarmed."""

from __future__ import annotations

from deployments.demo.stage import Books, Stage
from deployments.demo.tables import number, render_positions, render_series
from lib.adapters.database.overview import StoredSeries
from lib.market.timeframes import calc_newest_closed


def play_normal_market(stage: Stage) -> None:
    """Let the chain run once in a quiet market, on an empty database."""
    stage.run_chain()
    series, books = stage.read_series(), stage.read_books()
    stage.show(render_series(series), render_positions(books.held.values()))
    _expect_candles(stage, series)
    expect_same_holdings(stage, books)
    _expect_watched_positions(stage, books)
    stage.expect("Nobody is alarmed", f"{len(books.messages)} messages in the outbox", holds=not books.messages)


def _expect_candles(stage: Stage, series: list[StoredSeries]) -> None:
    settings = stage.stack.settings
    wanted = len(settings.symbols) * len(settings.timeframes)
    fresh = [one for one in series if _is_fresh(one)]
    stage.expect(
        "Every series reaches to its last closed candle",
        f"{len(fresh)} of {wanted} ({len(settings.symbols)} symbols, {len(settings.timeframes)} timeframes)",
        holds=len(fresh) == len(series) == wanted,
    )
    stored, missing = sum(one.candles for one in series), sum(one.missing for one in series)
    absent = sum(one.verified_absent for one in series)
    stage.expect(
        "No candle is missing",
        f"{stored:,} stored, {missing:,} missing, {absent:,} that the exchange itself does not have",
        holds=stored > 0 and missing == 0,
    )


def _is_fresh(one: StoredSeries) -> bool:
    if one.error is not None or one.synced_at is None:
        return False
    return one.newest_at == calc_newest_closed(one.synced_at, one.series.timeframe)


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
