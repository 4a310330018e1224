"""Pre-trade checks: what must hold before an order is sent, each with a code and a sentence that names the remedy.

Every order that a flow sends to trade now, an exit too, is a limit that expires (`OrderKind.LIMIT`, ioc) at the bound
that `calc_bound` gives: the exchange itself keeps the bound, where a market order checked against a book can still fill
beyond it when the book moves in between. What the bound leaves unfilled is the remainder. No flow sends a market order
(see `OrderKind`), whose slippage would be checked against the book; one that rests protects a position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

from lib.errors import CheckRefused
from lib.execution.orders import OrderIntent, OrderKind
from lib.execution.venue import KeyPermissions
from lib.market.book import Level, OrderBook
from lib.market.symbols import SymbolStatus
from lib.paper.matching import match_market_order
from lib.portfolio.fills import Balance, Side
from lib.portfolio.money import format_number
from lib.portfolio.stores import Listing
from lib.units import floor_to_step, format_money

HUNDRED = Decimal(100)
ZERO = Decimal(0)


class Refusal(StrEnum):
    """Which check refused an order."""

    HALTED = "halted"
    KEY_MAY_WITHDRAW = "key_may_withdraw"
    KEY_MAY_NOT_TRADE = "key_may_not_trade"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_TRADING = "not_trading"
    OFF_STEP = "off_step"
    BELOW_MINIMUM = "below_minimum"
    ORDER_LIMIT = "order_limit"
    DAY_LIMIT = "day_limit"
    NO_PRICE = "no_price"
    STALE_PRICE = "stale_price"
    PRICE_MOVED = "price_moved"
    SLIPPAGE = "slippage"
    NOT_ENOUGH = "not_enough"


@dataclass(frozen=True)
class OrderLimits:
    """What an operator allows; None allows any.

    Attributes:
        max_order_notional: Quote, of one order.
        max_day_notional: Quote, of all orders of a UTC day but exits, both sides.
        max_move_pct: Of the price since the order was decided, either way.
        max_slippage_pct: Of a market order's expected price beyond the best one.
        max_price_age: Of the book that the order is checked against.
    """

    max_order_notional: Decimal | None = None
    max_day_notional: Decimal | None = None
    max_move_pct: Decimal | None = Decimal(2)
    max_slippage_pct: Decimal | None = Decimal(1)
    max_price_age: timedelta = timedelta(seconds=30)


@dataclass(frozen=True)
class Facts:
    """What is known just before an order is sent.

    Attributes:
        now: UTC.
        permissions: Of the account's key.
        listing: Of the symbol.
        book: Of the symbol.
        book_at: When the book was asked for.
        balances: By asset.
        day_notional: Quote, of the day's other orders.
    """

    now: datetime
    permissions: KeyPermissions
    listing: Listing
    book: OrderBook
    book_at: datetime
    balances: Mapping[str, Balance]
    day_notional: Decimal


@dataclass(frozen=True)
class Verdict:
    """What one check says of an order.

    Attributes:
        check: What is looked at: "price".
        refusal: Why not, with the remedy; None when it passes.
    """

    check: str
    refusal: CheckRefused | None = None


def calc_bound(side: Side, price: Decimal, max_slippage_pct: Decimal, price_step: Decimal) -> Decimal:
    """Return the worst price that an order may fill at: so far beyond `price`, cut to the step on the safe side.

    >>> calc_bound(Side.BUY, Decimal(100), Decimal("0.5"), Decimal("0.1"))
    Decimal('100.5')
    """
    share = max_slippage_pct / HUNDRED * (1 if side is Side.BUY else -1)
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    steps = (price * (1 + share) / price_step).to_integral_value(rounding=rounding)
    return steps * price_step


def check_order(intent: OrderIntent, facts: Facts, limits: OrderLimits) -> None:
    """Refuse an order that must not be sent now.

    Raises:
        CheckRefused: With the code of the first check that refuses it.
    """
    check_key(facts.permissions)
    price = _check_price(intent, facts, limits)
    _check_size(intent, facts.listing, price)
    _check_notional(intent, facts, limits, price)
    _check_funds(intent, facts, price)


def judge_order(intent: OrderIntent, facts: Facts, limits: OrderLimits) -> list[Verdict]:
    """Return what every check says, where `check_order` ends at the first one that refuses.

    What depends on a price that is refused is judged by the order's own.
    """
    price = intent.limit_price or intent.reference_price
    return [
        judge("API key", lambda: check_key(facts.permissions)),
        judge("price and slippage", lambda: _check_price(intent, facts, limits)),
        judge("steps and minima", lambda: _check_size(intent, facts.listing, price)),
        judge("limits of the settings", lambda: _check_notional(intent, facts, limits, price)),
        judge("funds", lambda: _check_funds(intent, facts, price)),
    ]


def judge(check: str, ask: Callable[[], object]) -> Verdict:
    """Return what a check says."""
    try:
        ask()
    except CheckRefused as error:
        return Verdict(check, error)
    return Verdict(check)


def check_symbol(symbol: str, listing: Listing | None, *, is_watched: bool) -> Listing:
    """Return what is known of a symbol that may be traded now.

    Raises:
        CheckRefused: It is neither in the universe nor held, not known, or does not trade.
    """
    if not is_watched or listing is None:
        raise _refuse(
            Refusal.UNKNOWN_SYMBOL, f"{symbol} is not watched. Add it to mains or alts, and let sync_market_data run."
        )
    if listing.status is not SymbolStatus.TRADING:
        raise _refuse(Refusal.NOT_TRADING, f"{symbol} is {listing.status} on the exchange. Wait until it trades again.")
    return listing


def check_halt(reason: str | None) -> None:
    """Refuse any order while trading is halted for a reason.

    Raises:
        CheckRefused: It is.
    """
    if reason is not None:
        raise _refuse(
            Refusal.HALTED, f"Trading is halted: {reason}. Nothing is sent until `fks release`; start a new run then."
        )


def _refuse(code: Refusal, message: str) -> CheckRefused:
    return CheckRefused(code.value, message)


def check_key(permissions: KeyPermissions) -> None:
    """Refuse a key that may move money out, or may not trade.

    Raises:
        CheckRefused: See above.
    """
    if permissions.may_withdraw:
        raise _refuse(
            Refusal.KEY_MAY_WITHDRAW,
            "The account's API key may move money out. Make a key without withdrawals and transfers, and set that one.",
        )
    if not permissions.may_trade:
        raise _refuse(
            Refusal.KEY_MAY_NOT_TRADE,
            "The account's API key may not trade. Enable spot trading for it there.",
        )


def _check_price(intent: OrderIntent, facts: Facts, limits: OrderLimits) -> Decimal:
    """Return the price per base that the order has to expect."""
    age = facts.now - facts.book_at
    if age > limits.max_price_age:
        raise _refuse(
            Refusal.STALE_PRICE,
            f"The prices of {intent.symbol} are {age.total_seconds():.0f} s old, at most "
            f"{limits.max_price_age.total_seconds():.0f} s are allowed. Start this again.",
        )
    levels = facts.book.asks if intent.side is Side.BUY else facts.book.bids
    if not levels:
        raise _refuse(Refusal.NO_PRICE, f"Nobody takes the other side of {intent.symbol} now. Try again later.")
    best = levels[0].price
    _check_move(intent, best, limits)
    if intent.kind is OrderKind.MARKET:
        return _check_slippage(intent, levels, limits)
    return intent.limit_price or best


def _check_move(intent: OrderIntent, best: Decimal, limits: OrderLimits) -> None:
    moved_pct = abs(best / intent.reference_price - 1) * HUNDRED
    if limits.max_move_pct is not None and not intent.may_rest and moved_pct > limits.max_move_pct:
        raise _refuse(
            Refusal.PRICE_MOVED,
            f"{intent.symbol} was decided at {format_number(intent.reference_price)} and is at {format_number(best)}: "
            f"{moved_pct:.2f} % away, at most {format_number(limits.max_move_pct)} % are allowed. Plan anew.",
        )


def _check_slippage(intent: OrderIntent, levels: tuple[Level, ...], limits: OrderLimits) -> Decimal:
    executions = match_market_order(intent.quantity, levels)
    quantity = sum((one.quantity for one in executions), ZERO)
    price = sum((one.quantity * one.price for one in executions), ZERO) / quantity
    worse_pct = abs(price / levels[0].price - 1) * HUNDRED
    if limits.max_slippage_pct is None:
        return price
    if quantity < intent.quantity:
        raise _refuse(
            Refusal.SLIPPAGE,
            f"The order book of {intent.symbol} holds {format_number(quantity)} {intent.base} where "
            f"{format_number(intent.quantity)} were to be traded. Order less.",
        )
    if worse_pct > limits.max_slippage_pct:
        raise _refuse(
            Refusal.SLIPPAGE,
            f"{format_number(intent.quantity)} {intent.base} at market would cost {worse_pct:.2f} % beyond the best "
            f"price of {intent.symbol}, at most {format_number(limits.max_slippage_pct)} % are allowed. Order less.",
        )
    return price


def _check_size(intent: OrderIntent, listing: Listing, price: Decimal) -> None:
    step, least = listing.quantity_step, listing.min_quantity or ZERO
    if step and floor_to_step(intent.quantity, step) != intent.quantity:
        raise _refuse(
            Refusal.OFF_STEP,
            f"Expected a quantity of {intent.symbol} in steps of {format_number(step)}, was "
            f"{format_number(intent.quantity)}. Order a multiple.",
        )
    if intent.quantity < least:
        raise _refuse(
            Refusal.BELOW_MINIMUM,
            f"Expected at least {format_number(least)} {intent.base}, was {format_number(intent.quantity)}. "
            "Order more.",
        )
    notional = intent.quantity * price
    if notional < (listing.min_notional or ZERO):
        raise _refuse(
            Refusal.BELOW_MINIMUM,
            f"Expected at least {format_money(listing.min_notional or ZERO, intent.quote)} an order in "
            f"{intent.symbol}, was {format_money(notional, intent.quote)}. Order more.",
        )


def _check_notional(intent: OrderIntent, facts: Facts, limits: OrderLimits, price: Decimal) -> None:
    notional = intent.quantity * price
    if limits.max_order_notional is not None and notional > limits.max_order_notional:
        raise _refuse(
            Refusal.ORDER_LIMIT,
            f"The order is worth {format_money(notional, intent.quote)}, at most "
            f"{format_money(limits.max_order_notional, intent.quote)} an order are allowed. Order less.",
        )
    if limits.max_day_notional is not None and facts.day_notional + notional > limits.max_day_notional:
        raise _refuse(
            Refusal.DAY_LIMIT,
            f"The day's orders come to {format_money(facts.day_notional, intent.quote)}, with this one to "
            f"{format_money(facts.day_notional + notional, intent.quote)}; at most "
            f"{format_money(limits.max_day_notional, intent.quote)} a day are allowed. Wait for 00:00 UTC.",
        )


def _check_funds(intent: OrderIntent, facts: Facts, price: Decimal) -> None:
    asset = intent.quote if intent.side is Side.BUY else intent.base
    needed = intent.quantity * price if intent.side is Side.BUY else intent.quantity
    balance = facts.balances.get(asset)
    free = balance.free if balance else ZERO
    if needed > free:
        raise _refuse(
            Refusal.NOT_ENOUGH,
            f"The order needs {format_number(needed)} {asset}, account {intent.account} has {format_number(free)} "
            "free. Order less.",
        )
