"""A BUY signal is detected: one alert with its chart, a purchase by hand, and a position in the next cycle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from deployments.by_hand import Trade
from deployments.demo.normal_market import expect_same_holdings
from deployments.demo.stage import SIGNALS, Books, Stage
from deployments.demo.tables import number, render_alert, render_positions, render_signals
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.signals import DatabaseSignals
from lib.errors import EnvironmentRefused
from lib.market.timeframes import floor_to_timeframe, width_of
from lib.notifications.messages import Message, MessageType
from lib.strategy.breakout import Breakout
from lib.strategy.stores import Action, Signal, SignalKey
from lib.units import format_money

TIMEFRAME = "1m"
STRATEGY = Breakout.name
JUMP = Decimal("1.03")  # many times what a minute moves a price by
LATEST_SECOND = 50  # of a minute in which the price jumps, so that it surely is that minute's candle
LAST = 3  # candles, of which the newest may not be stored yet
SETTLED = timedelta(seconds=1)  # after its close a candle can be fetched
PNG = b"\x89PNG\r\n\x1a\n"


def play_buy_signal(stage: Stage) -> None:
    """Let a price break out, and buy by hand what the alert says once the minute's candle has closed."""
    stage.run_chain(SIGNALS)
    symbol = _find_quietest(stage)
    key = _let_jump(stage, symbol)
    stage.wait_until(key.opened_at + width_of(TIMEFRAME) + SETTLED, "Waiting for the minute's candle to close")
    stage.run_chain(SIGNALS)
    told, signals = stage.read_books(), DatabaseSignals(stage.engine).load_signals(TIMEFRAME, key.opened_at)
    stage.show(render_signals(signals.values()), *(render_alert(one) for one in _find_alerts(told, key)))
    _expect_signal(stage, key, signals)
    _expect_one_alert(stage, key, told)

    bought = stage.by_hand.buy(symbol, _find_quantity(stage, key))
    stage.note(f"Somebody buys by hand on the exchange: {number(bought.quantity)} {symbol}, order {bought.order_id}.")
    stage.run_chain()
    after = stage.read_books()
    stage.show(render_positions(after.held.values()))
    _expect_position(stage, symbol, bought, told, after)
    expect_same_holdings(stage, after)

    stage.note("The chain runs again.")
    stage.run_chain(SIGNALS)
    alerts = _find_alerts(stage.read_books(), key)
    stage.expect("It is not told again", f"{len(alerts)} alert about {symbol} by {STRATEGY}", holds=len(alerts) == 1)


def _find_quietest(stage: Stage) -> str:
    """Return the symbol that was never held whose price is furthest below what it would break out of."""
    known = stage.read_books().newest
    symbols = [symbol for symbol in stage.stack.settings.symbols if symbol not in known]
    now, bars = datetime.now(UTC), Breakout().channel
    candles = DatabaseHistory(stage.engine).load_matrix(symbols, TIMEFRAME, now - bars * width_of(TIMEFRAME), now)
    heights = np.nanmin(candles.close[:, -LAST:], axis=1) / np.nanmax(candles.high, axis=1)
    return symbols[int(np.argmin(heights))]


def _let_jump(stage: Stage, symbol: str) -> SignalKey:
    """Let the price jump within a minute; return the signal that its candle must give."""
    if (now := datetime.now(UTC)).second >= LATEST_SECOND:
        stage.wait_until(floor_to_timeframe(now, TIMEFRAME) + width_of(TIMEFRAME), "Waiting for the next minute")
    before = stage.read_price(symbol)
    price = stage.set_price(symbol, before * JUMP)
    stage.note(f"The market rises: {symbol} from {number(before)} to {number(price)}.")
    return SignalKey(TIMEFRAME, floor_to_timeframe(datetime.now(UTC), TIMEFRAME), STRATEGY, symbol)


def _find_alerts(books: Books, key: SignalKey) -> list[Message]:
    told = books.find_messages(MessageType.SIGNAL)
    return [one for one in told if one.title.endswith(f"BUY {key.symbol}: {key.strategy} {key.timeframe}")]


def _expect_signal(stage: Stage, key: SignalKey, signals: Mapping[SignalKey, Signal]) -> None:
    said = signals.get(key)
    stage.expect(
        f"{key.strategy} says BUY of {key.symbol} on the candle of {key.opened_at:%H:%M} UTC",
        said.reasons[0] if said else "it says nothing",
        holds=said is not None and said.action is Action.BUY,
    )
    spoken = {one.symbol for one in signals}
    stage.expect(
        "Every symbol has its signals",
        f"{len(signals)} signals of {len(spoken)} symbols",
        holds=spoken == set(stage.stack.settings.symbols),
    )


def _expect_one_alert(stage: Stage, key: SignalKey, books: Books) -> None:
    alerts = _find_alerts(books, key)
    charts = [one for alert in alerts for one in alert.attachments if one.content.startswith(PNG)]
    stage.expect(
        "One alert is recorded, with its chart",
        f"{len(alerts)} alert about {key.symbol} by {key.strategy}, {len(charts)} chart",
        holds=len(alerts) == len(charts) == 1,
    )


def _find_quantity(stage: Stage, key: SignalKey) -> Decimal:
    sizes = DatabaseSignals(stage.engine).load_sizes(key.timeframe, key.opened_at)
    found = [one.quantity for one in sizes if one.key == key and one.account == stage.account]
    if not found or not found[0]:
        raise EnvironmentRefused(f"Expected a quantity of {key.symbol} to buy. The play cannot go on.")
    return found[0]


def _expect_position(stage: Stage, symbol: str, bought: Trade, before: Books, after: Books) -> None:
    base, _, quote = symbol.partition("/")
    received = bought.quantity - bought.fees.get(base, Decimal(0))
    held = after.held.get(symbol)
    stage.expect(
        "The next cycle shows the position, and gives it a stop loss",
        f"{number(received)} {base}" + (f", stop {number(held.stop_loss)}" if held and held.stop_loss else ""),
        holds=held is not None and held.position.quantity == received and held.stop_loss is not None,
    )
    stage.expect(
        "The cash has fallen by what was paid",
        f"{format_money(after.cash, quote)} = {before.cash:,.2f} - {bought.gross_quote:,.2f}",
        holds=after.cash == before.cash - bought.gross_quote,
    )
