"""What people are told about a BUY."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from lib.market.timeframes import width_of
from lib.notifications.messages import Message, MessageType, Severity
from lib.notifications.texts import compose
from lib.portfolio.money import format_number
from lib.strategy.stores import Signal, SignalKey, SignalSize

MOST_OTHERS = 5
LATE = timedelta(minutes=5)  # after the close; the price has had time to move away


def calc_valid_until(key: SignalKey) -> datetime:
    """Return when the next candle closes: from then on, another signal counts."""
    return key.opened_at + 2 * width_of(key.timeframe)


def write_signal(
    signal: Signal, sizes: Sequence[SignalSize], unsized: Sequence[str], others: Sequence[SignalKey], at: datetime
) -> Message:
    """Return the message of a BUY: one for all accounts, once per strategy, symbol and candle.

    Args:
        signal: A buy.
        sizes: Of the accounts that could be looked at.
        unsized: Accounts whose state is not known.
        others: The other buys of the same candle.
        at: UTC.
    """
    key = signal.key
    parts = (
        ". ".join(_capitalise(reason) for reason in signal.reasons) + ".",
        _describe_levels(signal) + _describe_age(key, at),
        *(f"{size.account}: {'buy ' if size.quantity else 'no buy. '}{size.detail}" for size in sizes),
        *_describe_unsized(unsized),
        *_describe_others(others),
        _describe_remedy(key, sizes, unsized),
    )
    return compose(
        MessageType.SIGNAL,
        Severity.INFO,
        f"BUY {key.symbol}: {key.strategy.replace('_', ' ')} {key.timeframe}",
        "\n".join(parts),
        key=f"{key.strategy}:{key.symbol}:{key.timeframe}:{key.opened_at:%Y-%m-%dT%H:%MZ}",
        at=at,
    )


def write_digest(
    buys: Sequence[Signal], sizes: Mapping[SignalKey, Sequence[SignalSize]], unsized: Sequence[str], at: datetime
) -> Message:
    """Return the one message of many BUYs of one strategy at one candle, with a line for each.

    Args:
        buys: The strongest first.
        sizes: Of the accounts that could be looked at, by buy.
        unsized: Accounts whose state is not known.
        at: UTC.
    """
    strongest = buys[0]
    key = strongest.key
    symbols = hashlib.sha256(",".join(sorted(buy.key.symbol for buy in buys)).encode()).hexdigest()
    parts = (
        f"{key.symbol}: {'. '.join(strongest.reasons)}.",
        f"Prices are closes of the {key.timeframe} candle of {key.opened_at:%Y-%m-%d %H:%M} UTC."
        + _describe_age(key, at),
        *(_describe_buy(buy, sizes[buy.key]) for buy in buys),
        *_describe_unsized(unsized),
        "Each is sized as if it were the only one, so no account can buy all of them; the strongest come first.",
        _describe_remedy(key, [size for each in sizes.values() for size in each], unsized, "<one of these>"),
    )
    return compose(
        MessageType.SIGNAL,
        Severity.INFO,
        f"BUY {len(buys)} symbols: {key.strategy.replace('_', ' ')} {key.timeframe}",
        "\n".join(parts),
        key=f"{key.strategy}:{key.timeframe}:{key.opened_at:%Y-%m-%dT%H:%MZ}:{symbols}",
        at=at,
    )


def _describe_buy(buy: Signal, sizes: Sequence[SignalSize]) -> str:
    quantities = ", ".join(
        f"{size.account} {format_number(size.quantity) if size.quantity else 'none'}" for size in sizes
    )
    return (
        f"{buy.key.symbol} {format_number(buy.price)}, stop {_describe_level(buy.stop_loss, buy.price)}, target "
        f"{_describe_level(buy.take_profit, buy.price)}: {quantities or 'not sized'}"
    )


def _describe_unsized(accounts: Sequence[str]) -> list[str]:
    return [f"{account}: not sized, its balances are not known; see sync_account_balance." for account in accounts]


def _describe_levels(signal: Signal) -> str:
    stop = _describe_level(signal.stop_loss, signal.price)
    target = _describe_level(signal.take_profit, signal.price)
    confidence = signal.confidence if signal.confidence is not None else 0.0
    return (
        f"Price {format_number(signal.price)} (close of the {signal.key.timeframe} candle of "
        f"{signal.key.opened_at:%Y-%m-%d %H:%M} UTC), stop loss {stop}, take profit {target}, confidence "
        f"{confidence:.2f} of 1."
    )


def _describe_age(key: SignalKey, at: datetime) -> str:
    """Say how old the price is when that matters: the candle came late, or the run did."""
    age = at - key.opened_at - width_of(key.timeframe)
    if age < LATE:
        return ""
    return f" The candle closed {age // timedelta(minutes=1)} min ago: look at the price before you buy."


def _describe_remedy(
    key: SignalKey, sizes: Sequence[SignalSize], unsized: Sequence[str], symbol: str | None = None
) -> str:
    able = {size.account for size in sizes if size.quantity}
    valid = f"Valid until {calc_valid_until(key):%Y-%m-%d %H:%M} UTC, when the next candle closes."
    if sizes and not able and not unsized:
        return f"What to do: nothing, unless you mend what keeps the accounts from buying. {valid}"
    account = next(iter(able)) if len(able) == 1 and not unsized else "…"
    return (
        f"What to do: if you agree, run the flow open-position with account={account}, symbol={symbol or key.symbol}, "
        f"strategy={key.strategy}, timeframe={key.timeframe}, execute=true; it buys the quantity above and sets both "
        "limits (without execute it only shows what it would send). Or buy by hand on the exchange, then set both "
        f"limits with the flow set-stop-loss. {valid}"
    )


def _describe_level(level: Decimal | None, price: Decimal) -> str:
    return "none" if level is None else f"{format_number(level)} ({100 * (level - price) / price:+.1f} %)"


def _describe_others(others: Sequence[SignalKey]) -> list[str]:
    if not others:
        return []
    names = ", ".join(f"{key.symbol} ({key.strategy.replace('_', ' ')})" for key in others[:MOST_OTHERS])
    more = f" and {len(others) - MOST_OTHERS} more" if len(others) > MOST_OTHERS else ""
    return [f"BUY at the same candle: {names}{more}. Each is sized as if it were the only one."]


def _capitalise(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
