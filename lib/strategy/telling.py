"""What follows from a BUY: a size for each account, and one message."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from lib.errors import FksError, RetryableError
from lib.notifications.messages import Attachment, Message
from lib.portfolio.state import AccountState, StateStore
from lib.portfolio.stores import Listing
from lib.reporting.signal_chart import SignalPicture, draw_signal
from lib.strategy.deciding import Round
from lib.strategy.evaluation import CHART_BARS
from lib.strategy.signal_alerts import write_digest, write_signal
from lib.strategy.sizing import SizingRules, calc_size
from lib.strategy.stores import Signal, SignalKey, SignalSize, SignalStore

MOST_SINGLE = 12  # messages of one strategy at one candle
DIGEST_CHARTS = 3
MOST_CHARTS = 12  # a run; the strongest buys get them when the whole market turns
OLD_STATE = timedelta(hours=1)
NEVER_IMPORTED = "nothing is known yet of what it holds. update_positions imports it, and a later run sizes it."
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sized:
    """The sizes of the buys of one candle.

    Attributes:
        sizes: Of the accounts that could be looked at, by signal.
        unsized: Why the others could not, by account.
    """

    sizes: Mapping[SignalKey, Sequence[SignalSize]]
    unsized: Mapping[str, str]


def size_buys(
    a_round: Round,
    buys: Sequence[Signal],
    accounts: Sequence[str],
    *,
    signals: SignalStore,
    states: StateStore,
    rules: SizingRules,
) -> Sized:
    """Work out and store the sizes that are missing; an account whose state is not known gets them at a later run.

    Args:
        a_round: The candle.
        buys: Of the candle, stored.
        accounts: Whose sizes.
        signals: Where sizes are.
        states: What the accounts are worth.
        rules: The limits of one trade.
    """
    if not buys:
        return Sized({}, {})
    there = {(size.account, size.key) for size in signals.load_sizes(a_round.timeframe, a_round.opened_at)}
    unsized: dict[str, str] = {}
    for account in accounts:
        missing = [buy for buy in buys if (account, buy.key) not in there]
        if not missing:
            continue
        try:
            state = states.load_state(account)
        except RetryableError:
            raise
        except FksError as error:  # counted: told in the message, in the table and as an item
            unsized[account] = str(error)
            continue
        if state is None:
            unsized[account] = NEVER_IMPORTED
            continue
        signals.save_sizes(
            [_size(buy, state, a_round.listings.get(buy.key.symbol), rules, a_round.now) for buy in missing]
        )
    stored = signals.load_sizes(a_round.timeframe, a_round.opened_at)
    wanted = [size for size in stored if size.account in accounts]
    return Sized({buy.key: [size for size in wanted if size.key == buy.key] for buy in buys}, unsized)


def _size(buy: Signal, state: AccountState, listing: Listing | None, rules: SizingRules, now: datetime) -> SignalSize:
    size = calc_size(buy.key.symbol, buy.price, buy.stop_loss or Decimal(0), state=state, listing=listing, rules=rules)
    age = f" (what it holds as of {state.at:%Y-%m-%d %H:%M} UTC)" if now - state.at > OLD_STATE else ""
    return SignalSize(buy.key, state.account, size.quantity, size.verdict, size.detail + age, now)


def tell_buys(a_round: Round, buys: Sequence[Signal], sized: Sized, signals: SignalStore) -> int:
    """Record the message of each buy that was not told yet, the strongest first; return how many were recorded.

    When more than `MOST_SINGLE` are one strategy's, one message tells of them all.

    Args:
        a_round: The candle.
        buys: Of the candle, stored.
        sized: Their sizes.
        signals: Where messages are recorded, together with the note that their signals were told.
    """
    untold = sorted((buy for buy in buys if buy.alerted_at is None), key=lambda buy: -(buy.confidence or 0.0))
    counts = Counter(buy.key.strategy for buy in untold)
    recorded = 0
    for name in sorted(name for name, count in counts.items() if count > MOST_SINGLE):
        crowd = [buy for buy in untold if buy.key.strategy == name]
        recorded += signals.tell(_write_digest(a_round, crowd, sized), [buy.key for buy in crowd], a_round.now)
    for number, buy in enumerate(buy for buy in untold if counts[buy.key.strategy] <= MOST_SINGLE):
        others = [other.key for other in buys if other.key != buy.key]
        message = write_signal(buy, sized.sizes[buy.key], list(sized.unsized), others, a_round.now)
        if number < MOST_CHARTS:
            message = _attach_chart(message, a_round, buy)
        else:
            message = replace(message, body=f"{message.body}\n(No chart: the {MOST_CHARTS} strongest have one.)")
        recorded += signals.tell(message, [buy.key], a_round.now)
    return recorded


def _write_digest(a_round: Round, crowd: Sequence[Signal], sized: Sized) -> Message:
    message = write_digest(crowd, sized.sizes, list(sized.unsized), a_round.now)
    for buy in crowd[:DIGEST_CHARTS]:
        message = _attach_chart(message, a_round, buy)
    return replace(message, body=f"{message.body}\n(Charts: the {DIGEST_CHARTS} strongest.)")


def _attach_chart(message: Message, a_round: Round, buy: Signal) -> Message:
    """Return the message with the chart; without it, saying so, when it cannot be drawn."""
    try:
        content = draw_signal(_picture(a_round, buy))
        name = f"{buy.key.symbol.replace('/', '-')}-{buy.key.strategy}.png"
        return replace(message, attachments=(*message.attachments, Attachment(name, "image/png", content)))
    except Exception as error:  # an alert must not wait for its picture
        logger.warning("The chart of %s could not be drawn", buy.key.symbol, exc_info=error)
        return replace(
            message, body=f"{message.body}\n(The chart of {buy.key.symbol} could not be drawn: {type(error).__name__}.)"
        )


def _picture(a_round: Round, buy: Signal) -> SignalPicture:
    """Return what the chart shows: the last candles with the lines that the strategy compares."""
    shelf = a_round.load_view().shelf
    candles, row, shown = shelf.candles, shelf.candles.row_of(buy.key.symbol), slice(-CHART_BARS, None)
    strategy = a_round.roster.enrolled[buy.key.strategy].strategy
    lines = [line for one in strategy.enter_when(shelf) for line in (one.left, one.right)]
    lines += [line for one in strategy.exit_when(shelf) for line in (one.left, one.right)]
    return SignalPicture(
        title=f"BUY {buy.key.symbol} {buy.key.timeframe}: {buy.key.strategy.replace('_', ' ')}",
        opened_at=candles.opened_at[shown],
        open=candles.open[row, shown],
        high=candles.high[row, shown],
        low=candles.low[row, shown],
        close=candles.close[row, shown],
        lines={(line.panel, line.name): line.values[row, shown] for line in lines if line.values is not candles.close},
        stop_loss=float(buy.stop_loss or 0),
        take_profit=float(buy.take_profit or 0),
    )
