"""Proposing to buy: what a signal says, or what a person asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from lib.errors import OrderRefused
from lib.execution.tickets import Executed, Ticket
from lib.market.timeframes import calc_newest_closed, width_of
from lib.portfolio.fills import Side
from lib.portfolio.money import EXACT, format_number
from lib.portfolio.stores import HeldPosition, Listing
from lib.strategy.signal_alerts import calc_valid_until
from lib.strategy.stores import Action, Signal, SignalKey, SignalSize, SignalStore
from lib.units import floor_to_step


@dataclass(frozen=True)
class OpeningWish:
    """What a person asks for; what is None comes from the signal, or is not wanted.

    Attributes:
        account: Who buys.
        symbol: "BTC/USDT".
        strategy: Whose BUY is followed; None: none.
        quantity: Base.
        notional: Quote, about; in place of a quantity.
        stop_loss: Quote per base.
        take_profit: Quote per base.
    """

    account: str
    symbol: str
    strategy: str | None = None
    quantity: Decimal | None = None
    notional: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass(frozen=True)
class FoundSignal:
    """A BUY that may be followed, and how much of it the account can carry."""

    signal: Signal
    size: SignalSize


def find_signal(
    signals: SignalStore, account: str, strategy: str, symbol: str, timeframe: str, now: datetime
) -> FoundSignal:
    """Return the strategy's BUY at the newest closed candle, with its size for the account.

    Raises:
        OrderRefused: There is none, it is old, or it was not sized for the account.
    """
    newest = calc_newest_closed(now, timeframe)
    key = SignalKey(timeframe, newest, strategy, symbol)
    signal = signals.load_signals(timeframe, newest).get(key)
    if signal is None or signal.action is not Action.BUY:
        raise OrderRefused(_describe_missing(signals, key))
    size = next(
        (one for one in signals.load_sizes(timeframe, newest) if (one.key, one.account) == (key, account)), None
    )
    if size is None:
        raise OrderRefused(
            f"The BUY {symbol} of {strategy} was not sized for {account}: its balances were not known. Let "
            "signal-generation run again, or give a quantity and a stop loss without a strategy."
        )
    return FoundSignal(signal, size)


def _describe_missing(signals: SignalStore, key: SignalKey) -> str:
    before = key._replace(opened_at=key.opened_at - width_of(key.timeframe))
    old = signals.load_signals(key.timeframe, before.opened_at).get(before)
    if old is not None and old.action is Action.BUY:
        return (
            f"The BUY {key.symbol} of {key.strategy} is old: it was valid until "
            f"{calc_valid_until(before):%Y-%m-%d %H:%M} UTC, when the next candle closed. Buy without a strategy if "
            "you still want to."
        )
    return (
        f"There is no BUY {key.symbol} of {key.strategy} at the {key.timeframe} candle of "
        f"{key.opened_at:%Y-%m-%d %H:%M} UTC. The table of signals in signal-generation's runs names them all; to buy "
        "without a signal, leave the strategy empty and give a quantity or a notional."
    )


def check_unused(executed: Sequence[Executed], ticket_id: str) -> None:
    """Refuse a signal that another ticket of the account has followed.

    Args:
        executed: The account's tickets of the signal that have an order.
        ticket_id: The one that is asked for.

    Raises:
        OrderRefused: An order of another one was filled, or may yet be.
    """
    for one in executed:
        is_other = one.ticket.client_order_id != ticket_id
        if is_other and (one.order.executed_quantity or not one.order.state.is_final):
            raise OrderRefused(
                f"This signal is used: {one.order.name} of {one.ticket.created_at:%Y-%m-%d %H:%M} UTC follows it. Buy "
                "without a strategy if you want more."
            )


def check_valid(ticket: Ticket, now: datetime) -> None:
    """Refuse a ticket whose signal has grown old.

    Raises:
        OrderRefused: The next candle has closed.
    """
    if ticket.signal is not None and now >= calc_valid_until(ticket.signal):
        raise OrderRefused(
            f"The signal of {ticket.name} was valid until {calc_valid_until(ticket.signal):%Y-%m-%d %H:%M} UTC. Buy "
            "without a strategy if you still want to."
        )


def plan_opening(
    wish: OpeningWish,
    found: FoundSignal | None,
    *,
    best_ask: Decimal,
    listing: Listing,
    held: HeldPosition | None,
    ticket_id: str,
    now: datetime,
    code_version: str,
) -> Ticket:
    """Return the ticket of a wish.

    A signal gives what the wish does not: quantity, stop loss, take profit. It is decided at the signal's price, so an
    order is refused when the price has moved since; without a signal at the best price that somebody sells at now.

    Raises:
        OrderRefused: The wish contradicts itself, the exchange's steps, or the limits of the position that is held.
    """
    signal = found.signal if found else None
    price = signal.price if signal else best_ask
    ticket = Ticket(
        account=wish.account,
        client_order_id=ticket_id,
        symbol=wish.symbol,
        side=Side.BUY,
        quantity=_find_quantity(wish, found, price, listing),
        reference_price=price,
        why=_describe_why(signal),
        created_at=now,
        code_version=code_version,
        stop_loss=wish.stop_loss or (signal.stop_loss if signal else None),
        take_profit=wish.take_profit or (signal.take_profit if signal else None),
        signal=signal.key if signal else None,
    )
    _check_limits(ticket, held)
    return ticket


def _find_quantity(wish: OpeningWish, found: FoundSignal | None, price: Decimal, listing: Listing) -> Decimal:
    if wish.quantity is not None and wish.notional is not None:
        raise OrderRefused("Expected a quantity or a notional, was both. Give one of them.")
    if wish.quantity is None and wish.notional is None:
        if found is None:
            raise OrderRefused("Expected a strategy whose BUY is followed, a quantity or a notional, was none of them.")
        if not found.size.quantity:
            raise OrderRefused(f"{wish.account} can carry nothing of this signal: {found.size.detail}")
        return found.size.quantity
    if listing.quantity_step is None:
        raise OrderRefused(f"The exchange's steps of {wish.symbol} are not known. sync_market_data reads them.")
    with localcontext(EXACT):
        wanted = wish.quantity if wish.quantity is not None else (wish.notional or Decimal(0)) / price
        quantity = floor_to_step(wanted, listing.quantity_step)
    if not quantity:
        raise OrderRefused(
            f"Expected at least one step of {format_number(listing.quantity_step)} of {wish.symbol}, was less. Order "
            "more."
        )
    return quantity


def _describe_why(signal: Signal | None) -> str:
    if signal is None:
        return "opened by hand"
    key = signal.key
    return f"BUY of {key.strategy} at the {key.timeframe} candle of {key.opened_at:%Y-%m-%d %H:%M} UTC"


def _check_limits(ticket: Ticket, held: HeldPosition | None) -> None:
    stop, target, price = ticket.stop_loss, ticket.take_profit, ticket.reference_price
    if stop is not None and stop >= price:
        raise OrderRefused(
            f"Expected a stop loss below the price {format_number(price)}, was {format_number(stop)}. Give a lower one."
        )
    if target is not None and target <= price:
        raise OrderRefused(
            f"Expected a take profit above the price {format_number(price)}, was {format_number(target)}. Give a "
            "higher one."
        )
    stop, target = merge_limits(ticket, held)
    if stop is not None and target is not None and stop >= target:
        raise OrderRefused(
            f"The position that is held keeps what is not given, and its stop loss {format_number(stop)} would not be "
            f"below its take profit {format_number(target)}. Give both."
        )


def check_beyond(
    ticket: Ticket, held: HeldPosition | None, *, best_bid: Decimal | None, best_ask: Decimal | None
) -> None:
    """Refuse a purchase whose position would be sold again at once: its limits are already crossed.

    Args:
        ticket: The purchase.
        held: The position that it adds to.
        best_bid: Quote per base, now; None: nobody buys.
        best_ask: Quote per base, now; None: nobody sells.

    Raises:
        OrderRefused: The stop loss is not below the market any more, or the take profit not above it.
    """
    stop, target = merge_limits(ticket, held)
    if stop is not None and best_bid is not None and stop >= best_bid:
        raise OrderRefused(
            f"The price of {ticket.symbol} is at {format_number(best_bid)}, not above the stop loss "
            f"{format_number(stop)} any more, so it is not bought. Start the flow again with a lower stop loss."
        )
    if target is not None and best_ask is not None and target <= best_ask:
        raise OrderRefused(
            f"The price of {ticket.symbol} is at {format_number(best_ask)}, not below the take profit "
            f"{format_number(target)} any more, so it is not bought. Start the flow again with a higher take profit."
        )


def merge_limits(ticket: Ticket, held: HeldPosition | None) -> tuple[Decimal | None, Decimal | None]:
    """Return stop loss and take profit of the position after the purchase; what is not given stays as it is."""
    stop = ticket.stop_loss if ticket.stop_loss is not None else (held.stop_loss if held else None)
    target = ticket.take_profit if ticket.take_profit is not None else (held.take_profit if held else None)
    return stop, target
