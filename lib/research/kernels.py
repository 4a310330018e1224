"""The backtest's engine, compiled: long only, a signal when a candle has closed, its fill at the next candle's open.

The order of events in a candle, which `docs/decisions.md` explains:

1. At the open, what is held is sold if its exit was decided at the close before; else at the open if that is at or
   beyond the stop loss or the take profit (gapped through).
2. At the open, entries decided at the close before are bought, the highest score first. All are sized by the equity at
   this open, and paid from the cash that is left. An entry whose open is already at or beyond its stop or target is not
   made, as the platform refuses an order whose price has run away.
3. Inside, also in the candle of the entry: the stop loss if the low reaches it; else the take profit if the high does.
   Where both are reached the stop counts: nothing tells which came first.
4. At the close the account is valued. An entry counts if its symbol is not held then; what is held is never added to.
   An entry or exit whose next candle is missing waits for the one that comes.
5. After the last candle everything is sold at its last close.

Stop and target are so far from the close that decided, as live signals have them. Every fill pays fee and slippage.

`trade_portfolio` is the engine. `try_levels` is the same for one symbol and many stops and targets on the same
signals, without a record of the trades; tests hold the two together. Both are in this file, as numba notices no change
in another one that is called from here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lib.indicators.compiling import Floats, compiled

Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Codes = NDArray[np.uint8]
Words = NDArray[np.uint64]

SIGNAL, STOP, TARGET, END = 0, 1, 2, 3  # of `lib.research.trades.ExitReason`
FILLED, TOO_SMALL, RAN_AWAY, SOLD = 0, 1, 2, 3  # counts: what became of entries, and how many trades are over
WAITS, ENTERED, LEAVING = 0, 1, 2  # marks of a symbol: bar whose entry waits, bar of the entry, whether it is to go
QUANTITY, STOP_LOSS, TAKE_PROFIT, PAID, PRICE, LAST = 0, 1, 2, 3, 4, 5  # of a symbol's position; LAST: newest price
NOTHING = -1  # no bar, no row, no reason
TRADES, WON, GAINS, LOSSES, FEES, HELD, WORST = 0, 1, 2, 3, 4, 5, 6  # what `try_levels` tells of each pair of levels


class Numbers(NamedTuple):
    """`TradingRules` for kernels; `share` is that of a symbol with full sizing, 0 with sizing by risk."""

    fee: float
    slippage: float
    risk: float
    reserve: float
    largest: float
    min_notional: float
    share: float


class Market(NamedTuple):
    """Candles and what a strategy says of them, each of the shape (symbols, bars); NaN where there is no candle."""

    opens: Floats
    highs: Floats
    lows: Floats
    closes: Floats
    entries: Flags
    exits: Flags
    score: Floats
    stop_distance: Floats
    target_distance: Floats


class Book(NamedTuple):
    """What `trade_portfolio` fills.

    Attributes:
        equity: At each close, shape (bars,).
        held_value: What is held, of it.
        places: Row, bar of entry, bar of exit and reason of each trade, shape (trades, 4).
        records: Its prices in and out, quantity, fees, profit, stop loss and take profit, shape (trades, 7).
        counts: By `FILLED`, `TOO_SMALL`, `RAN_AWAY` and `SOLD`.
        marks: Of each symbol, shape (symbols, 3).
        positions: Of each symbol, shape (symbols, 6).
    """

    equity: Floats
    held_value: Floats
    places: Places
    records: Floats
    counts: Places
    marks: Places
    positions: Floats


@compiled
def calc_quantity(price: float, stop: float, equity: float, cash: float, numbers: Numbers) -> float:
    """Return what an entry buys at this price; 0 when it is below the minimum or nothing is left."""
    if numbers.share > 0.0:
        quantity = min(numbers.share * equity, cash) / (price * (1.0 + numbers.fee))
    else:
        by_risk = equity * numbers.risk / (price - stop)
        by_cash = (cash - numbers.reserve * equity) / (price * (1.0 + numbers.fee))
        quantity = min(by_risk, by_cash, numbers.largest * equity / price)
    if quantity * price < numbers.min_notional or not quantity > 0.0:
        return 0.0
    return quantity


@compiled
def find_price_inside(low: float, high: float, stop: float, target: float) -> tuple[int, float]:
    """Return why a candle ends a position after its open, and the price; `NOTHING` when it does not."""
    if low <= stop:
        return STOP, stop
    if high >= target:
        return TARGET, target
    return NOTHING, 0.0


@compiled
def find_price_at_open(price: float, is_leaving: bool, stop: float, target: float) -> tuple[int, float]:
    """Return why a position ends at a candle's open, and the price; `NOTHING` when it does not."""
    if is_leaving:
        return SIGNAL, price
    if price <= stop:
        return STOP, price
    if price >= target:
        return TARGET, price
    return NOTHING, 0.0


@compiled
def trade_portfolio(market: Market, cash: float, numbers: Numbers, book: Book) -> None:
    """Trade all symbols from one cash account, and fill the book, which comes with zeros.

    The many arrays are handed on only when something is bought or sold: that costs more than a candle.
    """
    symbols, bars = market.closes.shape
    positions, marks = book.positions, book.marks
    marks[:, WAITS] = NOTHING
    for bar in range(bars):
        waiting = 0
        for row in range(symbols):
            waiting += marks[row, WAITS] != NOTHING
            reason, sold_at = find_begin(market.opens[row, bar], positions[row], marks[row, LEAVING] > 0)
            if reason != NOTHING:
                cash += _sell(sold_at, row, bar, reason, numbers, book)
        if waiting:
            cash -= _buy(market, bar, cash, numbers, book)
        value = 0.0
        for row in range(symbols):
            if positions[row, QUANTITY] > 0.0:
                low, high, close = market.lows[row, bar], market.highs[row, bar], market.closes[row, bar]
                reason, sold_at = find_end(low, high, close, positions[row], bar == bars - 1)
                if reason != NOTHING:
                    cash += _sell(sold_at, row, bar, reason, numbers, book)
            if positions[row, QUANTITY] > 0.0:
                marks[row, LEAVING] |= market.exits[row, bar]
                value += positions[row, QUANTITY] * positions[row, LAST]
            elif market.entries[row, bar]:
                marks[row, WAITS] = bar
        book.equity[bar], book.held_value[bar] = cash + value, value


@compiled
def find_begin(price: float, position: Floats, is_leaving: bool) -> tuple[int, float]:
    """Return why the open ends a position, and the price."""
    if not price > 0.0:
        return NOTHING, 0.0
    position[LAST] = price
    if position[QUANTITY] > 0.0:
        return find_price_at_open(price, is_leaving, position[STOP_LOSS], position[TAKE_PROFIT])
    return NOTHING, 0.0


@compiled
def find_end(low: float, high: float, close: float, position: Floats, is_last: bool) -> tuple[int, float]:
    """Return why a candle ends a position after its open, or why the data does, and the price."""
    reason, sold_at = NOTHING, 0.0
    if close > 0.0:
        position[LAST] = close
        reason, sold_at = find_price_inside(low, high, position[STOP_LOSS], position[TAKE_PROFIT])
    if reason == NOTHING and is_last:
        return END, position[LAST]
    return reason, sold_at


@compiled
def _buy(market: Market, bar: int, cash: float, numbers: Numbers, book: Book) -> float:
    """Buy what waits for this open, the highest score first (of equals the first row); return what it costs."""
    equity = cash
    for row in range(market.closes.shape[0]):
        equity += book.positions[row, QUANTITY] * book.positions[row, LAST]
    spent = 0.0
    while True:
        row = _find_next(market, bar, book)
        if row == NOTHING:
            return spent
        spent += _enter(market, row, bar, equity, cash - spent, numbers, book)


@compiled
def _find_next(market: Market, bar: int, book: Book) -> int:
    """Return the row that is bought next at this open, `NOTHING` when none waits that has a candle."""
    best = NOTHING
    highest = 0.0
    for row in range(market.closes.shape[0]):
        at = book.marks[row, WAITS]
        if at == NOTHING or not market.opens[row, bar] > 0.0:
            continue
        if best == NOTHING or market.score[row, at] > highest:
            best, highest = row, market.score[row, at]
    return best


@compiled
def _enter(market: Market, row: int, bar: int, equity: float, cash: float, numbers: Numbers, book: Book) -> float:
    """Buy one symbol at this open if its levels and the cash allow it; return what it costs."""
    at = book.marks[row, WAITS]
    book.marks[row, WAITS] = NOTHING
    stop = market.closes[row, at] - market.stop_distance[row, at]
    target = market.closes[row, at] + market.target_distance[row, at]
    if not stop < market.opens[row, bar] < target:
        book.counts[RAN_AWAY] += 1
        return 0.0
    price = market.opens[row, bar] * (1.0 + numbers.slippage)
    quantity = calc_quantity(price, stop, equity, cash, numbers)
    if quantity == 0.0:
        book.counts[TOO_SMALL] += 1
        return 0.0
    book.counts[FILLED] += 1
    book.marks[row, ENTERED] = bar
    position = book.positions[row]
    position[QUANTITY], position[STOP_LOSS], position[TAKE_PROFIT] = quantity, stop, target
    position[PRICE], position[PAID] = price, quantity * price * (1.0 + numbers.fee)
    paid: float = position[PAID]
    return paid


@compiled
def _sell(price: float, row: int, bar: int, reason: int, numbers: Numbers, book: Book) -> float:
    """Sell what is held of a symbol, record the trade, and return what it brings."""
    position, trade = book.positions[row], book.counts[SOLD]
    net = price * (1.0 - numbers.slippage)
    gross: float = position[QUANTITY] * net
    brings = gross * (1.0 - numbers.fee)
    places, record = book.places[trade], book.records[trade]
    places[0], places[1], places[2], places[3] = row, book.marks[row, ENTERED], bar, reason
    record[0], record[1], record[2] = position[PRICE], net, position[QUANTITY]
    record[3] = numbers.fee * (position[QUANTITY] * position[PRICE] + gross)
    record[4], record[5], record[6] = brings - position[PAID], position[STOP_LOSS], position[TAKE_PROFIT]
    book.counts[SOLD] += 1
    book.marks[row, LEAVING] = 0
    position[QUANTITY] = 0.0
    return brings


# Of a bar: what entering needs, of several conditions their bitwise "and"; and whether the strategy leaves.
UNKNOWN, FALSE, TRUE, LEAVES = 0, 1, 3, 4
WORD = 8  # bars that are compared at once
ALL_BYTES = np.uint64(0x0101010101010101)


@compiled
def require_above(left: Floats, right: Floats, codes: Codes) -> None:
    """Keep in `codes` where all conditions so far hold and this one too, shape (bars,) as the lines or longer."""
    for bar in range(len(left)):
        margin = left[bar] - right[bar]
        codes[bar] &= TRUE if margin > 0.0 else (FALSE if margin == margin else UNKNOWN)


@compiled
def allow_above(left: Floats, right: Floats, codes: Codes) -> None:
    """Note in `codes`, when all of entering is there, where this condition holds: the strategy leaves."""
    for bar in range(len(left)):
        codes[bar] |= LEAVES if left[bar] > right[bar] else 0


@compiled
def find_signals(codes: Codes, words: Words, lead: int, bars: int, bought_at: Places, leaves_at: Places) -> int:
    """Write the entries from bar `lead` on, counted from there, and where they are left; return how many.

    An entry is where entering begins to hold and the strategy does not leave. It is left at the open after the first
    bar at which the strategy does; beyond the last bar where there is none. Only bars at which something changes count,
    so eight are compared at once.

    Args:
        codes: Of each bar; as many as fill whole words, `UNKNOWN` after the last bar.
        words: The same memory, eight bars each.
        lead: Bars before the first one that counts.
        bars: How many there are.
        bought_at: Filled from the front.
        leaves_at: Filled alike.
    """
    count, left, before = 0, 0, codes[0]
    for word in range(len(words)):
        if words[word] == before * ALL_BYTES:
            continue
        for bar in range(word * WORD, min(word * WORD + WORD, bars)):
            code = codes[bar]
            if code & LEAVES:
                leaves_at[left:count] = bar - lead + 1
                left = count
            elif code == TRUE and before & TRUE == FALSE and bar >= lead:
                bought_at[count] = bar - lead
                count += 1
            before = code
    leaves_at[left:count] = bars - lead + 1
    return count


class Signals(NamedTuple):
    """One symbol's candles, all of which are there, and the signals on them, each of the shape (bars,) but three.

    Attributes:
        bought_at: The bars with an entry, rising.
        leaves_at: The bar at whose open the exit of each entry sells; beyond the last bar where there is none.
        day_ends: The last bar of each UTC day, not falling; -1 for days before the first candle.
    """

    opens: Floats
    highs: Floats
    lows: Floats
    closes: Floats
    bought_at: Places
    leaves_at: Places
    day_ends: Places


class Pairs(NamedTuple):
    """Pairs of levels, each with an account of its own, and what `try_levels` fills.

    Attributes:
        stops: Stop loss of each entry, quote per base, shape (pairs, entries); one that is not between zero and the
            close that decided, or NaN, is none: the entry is not made.
        targets: Take profit of each entry.
        accounts: Cash and highest equity so far, shape (pairs, 2); comes with what each begins with.
        marks: The bar of the last sale, and the first day whose end is not known, shape (pairs, 2); comes with zeros.
        daily: Filled, shape (pairs, days): equity at the end of each UTC day.
        facts: Filled, shape (pairs, 7), comes with zeros: trades, trades won, gains, losses (above zero), fees, closes
            at which something was held, and the worst drawdown (zero or below, ratio, of the equity at closes).
    """

    stops: Floats
    targets: Floats
    accounts: Floats
    marks: Places
    daily: Floats
    facts: Floats


CASH, PEAK = 0, 1  # of a pair's account
SOLD_AT, DAY = 0, 1  # a pair's marks


@compiled
def try_levels(signals: Signals, pairs: Pairs, numbers: Numbers) -> None:
    """Trade one symbol once for each pair of levels.

    Pairs are best in order of their distance: one whose levels are farther away than those of the pair before goes on
    looking where that one was sold.
    """
    for number in range(len(signals.bought_at)):
        if signals.bought_at[number] + 1 < len(signals.closes):
            _try_entry(signals, number, pairs, numbers)
    for pair in range(len(pairs.daily)):
        for day in range(pairs.marks[pair, DAY], pairs.daily.shape[1]):
            pairs.daily[pair, day] = pairs.accounts[pair, CASH]


@compiled
def _try_entry(signals: Signals, number: int, pairs: Pairs, numbers: Numbers) -> None:
    """Make one entry with each pair that holds nothing, and hold it to its end.

    A candle whose open is beyond a level reaches it inside as well, so one look at a candle tells whether it ends
    anything, and only the last one is gone through event by event.
    """
    lows, highs, closes, accounts = signals.lows, signals.highs, signals.closes, pairs.accounts
    entered, leaves = signals.bought_at[number] + 1, signals.leaves_at[number]
    opened, end = signals.opens[entered], min(leaves, len(closes) - 1)
    price, decided_at = opened * (1.0 + numbers.slippage), closes[entered - 1]
    bar, lowest, highest, passed_stop, passed_target = entered, np.inf, 0.0, np.inf, 0.0
    for pair in range(len(accounts)):
        stop, target, cash = pairs.stops[pair, number], pairs.targets[pair, number], accounts[pair, CASH]
        if entered <= pairs.marks[pair, SOLD_AT] or not stop < opened < target or not 0.0 < stop < decided_at:
            continue
        quantity = calc_quantity(price, stop, cash, cash, numbers)
        if quantity == 0.0:
            continue
        if stop > passed_stop or target < passed_target:
            bar, lowest, highest = entered, np.inf, 0.0
        passed_stop, passed_target = stop, target
        bar, lowest, highest = _find_end(lows, highs, closes, bar, end, stop, target, lowest, highest)
        reason, sold_at = find_price_at_open(signals.opens[bar], bar == leaves, stop, target)
        if reason == NOTHING:
            reason, sold_at = find_price_inside(lows[bar], highs[bar], stop, target)
        paid = quantity * price * (1.0 + numbers.fee)
        _fill_days(signals.day_ends, closes, entered, bar, pair, quantity, paid, accounts, pairs.marks, pairs.daily)
        if cash - paid + quantity * highest > accounts[pair, PEAK]:
            _climb(closes, entered, bar, pair, quantity, cash - paid, accounts, pairs.facts)
        elif bar > entered:
            _note_worst((cash - paid + quantity * lowest) / accounts[pair, PEAK], pair, pairs.facts)
        gross = quantity * ((sold_at if reason != NOTHING else closes[bar]) * (1.0 - numbers.slippage))
        _settle(paid, gross, numbers.fee * (quantity * price + gross), pair, numbers, accounts, pairs.facts)
        pairs.facts[pair, HELD] += bar - entered
        pairs.marks[pair, SOLD_AT] = bar


@compiled
def _find_end(
    lows: Floats, highs: Floats, closes: Floats, bar: int, end: int, stop: float, target: float, low: float, high: float
) -> tuple[int, float, float]:
    """Return the first bar from `bar` on that reaches a level, or `end`; and the lowest and highest close before it."""
    at, to, one = np.uint64(bar), np.uint64(end), np.uint64(1)  # no check for negative ones: a sixth of all time
    while at < to and lows[at] > stop and highs[at] < target:
        low, high = min(low, closes[at]), max(high, closes[at])
        at += one
    return int(at), low, high


@compiled
def _fill_days(
    day_ends: Places,
    closes: Floats,
    entered: int,
    sold_at: int,
    pair: int,
    quantity: float,
    paid: float,
    accounts: Floats,
    marks: Places,
    daily: Floats,
) -> None:
    """Write the equity at the ends of the days before the bar in which a position is sold."""
    day, cash = marks[pair, DAY], accounts[pair, CASH]
    while day < len(day_ends) and day_ends[day] < sold_at:
        daily[pair, day] = cash if day_ends[day] < entered else cash - paid + quantity * closes[day_ends[day]]
        day += 1
    marks[pair, DAY] = day


@compiled
def _climb(
    closes: Floats, entered: int, sold_at: int, pair: int, quantity: float, cash: float, accounts: Floats, facts: Floats
) -> None:
    """Note the worst drawdown of a position in which the equity was higher than ever, and the new peak."""
    peak = lowest = accounts[pair, PEAK]
    for bar in range(entered, sold_at):
        equity = cash + quantity * closes[bar]
        if equity > peak:
            _note_worst(lowest / peak, pair, facts)
            peak = lowest = equity
        lowest = min(lowest, equity)
    _note_worst(lowest / peak, pair, facts)
    accounts[pair, PEAK] = peak


@compiled
def _note_worst(share: float, pair: int, facts: Floats) -> None:
    facts[pair, WORST] = min(facts[pair, WORST], share - 1.0)


@compiled
def _settle(
    paid: float, gross: float, fees: float, pair: int, numbers: Numbers, accounts: Floats, facts: Floats
) -> None:
    """Book a sale."""
    brings = gross * (1.0 - numbers.fee)
    profit = brings - paid
    cash = accounts[pair, CASH] - paid + brings
    accounts[pair, CASH], accounts[pair, PEAK] = cash, max(accounts[pair, PEAK], cash)
    _note_worst(cash / accounts[pair, PEAK], pair, facts)
    facts[pair, TRADES] += 1
    facts[pair, FEES] += fees
    if profit > 0.0:
        facts[pair, WON] += 1
        facts[pair, GAINS] += profit
    else:
        facts[pair, LOSSES] -= profit
