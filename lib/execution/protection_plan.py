"""Which orders protect a position: prices, quantities, and what the exchange would not take.

Rules of Binance for a list that sells (Spot API, "New OCO"; "Filters"): the limit maker's price above the last one, the
stop price below it; every price a multiple of the tick, the quantity a multiple of the step, and quantity times each
limit at least the minimum notional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal, localcontext

from lib.errors import OrderRefused
from lib.execution.checks import calc_bound
from lib.execution.orders import OrderIntent, OrderKind, make_client_order_id
from lib.execution.protection import SHORT, TRY_AGAIN, Guard, Protection
from lib.market.book import OrderBook
from lib.portfolio.fills import Balance, Side
from lib.portfolio.money import EXACT, format_number
from lib.portfolio.stores import HeldPosition, Listing
from lib.units import floor_to_step, format_money

ZERO = Decimal(0)


@dataclass(frozen=True)
class Planned:
    """A protection as it would be placed now.

    Attributes:
        protection: With `refusal` where the exchange would take nothing.
        intents: The stop loss, and the take profit if there is one; none when it is refused.
    """

    protection: Protection
    intents: tuple[OrderIntent, ...]

    def is_no_better(self, guard: Guard) -> bool:
        """Tell whether nothing would be gained by putting it in the place of what rests with the same limits."""
        mine, its = self.protection, guard.protection
        if (mine.stop_loss, mine.take_profit) != (its.stop_loss, its.take_profit):
            return False
        is_same = (mine.quantity, mine.is_short, len(self.intents) > 1) == (
            its.quantity,
            its.is_short,
            guard.has_target,
        )
        return bool(mine.refusal) or is_same

    def is_refused_again(self, known: Sequence[Guard]) -> bool:
        """Tell whether nothing can be sent, and the newest protection says so already of the same limits."""
        last = known[-1].protection if known else None
        mine = self.protection
        return bool(
            last is not None
            and mine.refusal
            and last.refusal
            and (last.opened_by, last.stop_loss, last.take_profit) == (mine.opened_by, mine.stop_loss, mine.take_profit)
        )


@dataclass(frozen=True)
class Market:
    """What a plan goes by.

    Attributes:
        listing: Of the symbol.
        book: Of the symbol, of now.
        balance: Of its base asset, with what our own protections hold as free; None: there is none.
        slippage_pct: How far below the stop price the limit of its order lies.
    """

    listing: Listing
    book: OrderBook
    balance: Balance | None
    slippage_pct: Decimal


def plan_protection(held: HeldPosition, known: Sequence[Guard], market: Market, now: datetime) -> Planned | None:
    """Return what would protect a position now; None when the price is at the stop loss already.

    The take profit is left out where the price has reached it, and where the exchange refused it with these limits
    within the hour, for whatever reason: the stop loss matters more.

    Args:
        held: With a stop loss.
        known: Its protections.
        market: Of now.
        now: UTC.

    Raises:
        OrderRefused: The exchange's steps are not known, or nobody buys.
    """
    listing, book, stop_loss = market.listing, market.book, held.stop_loss
    step, tick = listing.quantity_step, listing.price_step
    if step is None or tick is None or stop_loss is None:
        raise OrderRefused(f"The exchange's steps of {held.symbol} are not known. sync_market_data reads them.")
    if not book.bids:
        raise OrderRefused(f"Nobody buys {held.symbol} now. The next chain tries again.")
    stop = floor_to_step(stop_loss, tick)
    if book.bids[0].price <= max(stop, stop_loss):
        return None
    free = market.balance.free if market.balance else ZERO
    quantity = floor_to_step(min(held.position.quantity, free), step)
    target, why_alone = _find_target(held, known, market, now)
    notes = [_describe_short(held, free, step, quantity), why_alone]
    protection = Protection(
        account=held.account,
        protection_id=make_client_order_id(
            held.account, f"protection of {held.symbol} {held.position.opened_by}", now.isoformat()
        ),
        symbol=held.symbol,
        opened_by=held.position.opened_by,
        quantity=quantity or step,
        stop_loss=stop_loss,
        take_profit=held.take_profit,
        created_at=now,
        looked_at=now,
        note="; ".join(note for note in notes if note),
    )
    limit = calc_bound(Side.SELL, stop, market.slippage_pct, tick) if stop else ZERO
    if refusal := _find_refusal(held, quantity, limit, listing):
        return Planned(replace(protection, refusal=refusal), ())
    return Planned(protection, _write_intents(protection, stop, limit, target, book.bids[0].price))


def _find_target(
    held: HeldPosition, known: Sequence[Guard], market: Market, now: datetime
) -> tuple[Decimal | None, str]:
    """Return the take profit's price, cut to the tick upwards, or why there is none beside the stop loss."""
    book, tick = market.book, market.listing.price_step
    if held.take_profit is None or tick is None:
        return None, ""
    with localcontext(EXACT):
        target = (held.take_profit / tick).to_integral_value(rounding=ROUND_CEILING) * tick
    if target <= (book.asks or book.bids)[0].price:
        return None, "without its take profit, which the price has reached"
    limits, oldest = (held.stop_loss, held.take_profit), now - TRY_AGAIN
    fresh = [one for one in known if one.protection.created_at > oldest]
    refused = [one for one in fresh if one.target_was_refused and _limits_of(one) == limits]
    if refused:
        return None, f"without its take profit, which the exchange refused: {refused[-1].why_refused}"
    return target, ""


def _limits_of(one: Guard) -> tuple[Decimal | None, Decimal | None]:
    return one.protection.stop_loss, one.protection.take_profit


def _describe_short(held: HeldPosition, free: Decimal, step: Decimal, quantity: Decimal) -> str:
    if held.position.quantity - free <= step:
        return ""
    return f"{format_number(quantity)} of {format_number(held.position.quantity)}: {SHORT}"


def _find_refusal(held: HeldPosition, quantity: Decimal, limit: Decimal, listing: Listing) -> str:
    base, _, quote = held.symbol.partition("/")
    if quantity < max(listing.min_quantity or ZERO, listing.quantity_step or ZERO):
        least = format_number(listing.min_quantity or listing.quantity_step or ZERO)
        return f"{format_number(quantity)} {base} can be sold, the exchange takes no order below {least}"
    worth, least_worth = quantity * limit, listing.min_notional or ZERO
    if not limit or worth < least_worth:
        return (
            f"at its stop loss it is worth {format_money(worth, quote)}, the exchange takes no order below "
            f"{format_money(least_worth, quote)}"
        )
    return ""


def _write_intents(
    protection: Protection, stop: Decimal, limit: Decimal, target: Decimal | None, price: Decimal
) -> tuple[OrderIntent, ...]:
    below = OrderIntent(
        client_order_id=f"{protection.protection_id}-s",
        account=protection.account,
        symbol=protection.symbol,
        side=Side.SELL,
        kind=OrderKind.STOP_LOSS_LIMIT,
        quantity=protection.quantity,
        reference_price=price,
        created_at=protection.created_at,
        why=f"stop loss {format_number(protection.stop_loss)} of the position",
        limit_price=limit,
        stop_price=stop,
        plan=protection.plan,
    )
    if target is None or protection.take_profit is None:
        return (below,)
    above = replace(
        below,
        client_order_id=f"{protection.protection_id}-t",
        kind=OrderKind.LIMIT_MAKER,
        why=f"take profit {format_number(protection.take_profit)} of the position",
        limit_price=target,
        stop_price=None,
    )
    return below, above
