"""How much of a signal an account can carry: by risk, cash, position share and the exchange's steps."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal, localcontext
from enum import StrEnum

from lib.market.symbols import SymbolStatus
from lib.portfolio.money import EXACT, format_number
from lib.portfolio.state import ZERO, AccountState
from lib.portfolio.stores import Listing
from lib.units import floor_to_step, format_money

FINEST = Decimal("1e-12")  # of quantities before they are cut to the exchange's step


@dataclass(frozen=True)
class SizingRules:
    """What an operator allows one trade.

    Attributes:
        risk_per_trade_ratio: Share of equity that is lost when the stop loss is hit, 0 to 1.
        cash_reserve_ratio: Share of equity that stays cash, 0 to 1.
        max_position_ratio: Largest share of equity in one symbol, 0 to 1; what is held already counts, deposits too.
        fee_ratio: Fee of a market order, share of its notional.
    """

    risk_per_trade_ratio: Decimal = Decimal("0.01")
    cash_reserve_ratio: Decimal = Decimal("0.20")
    max_position_ratio: Decimal = Decimal("0.15")
    fee_ratio: Decimal = Decimal("0.001")


class Verdict(StrEnum):
    """What decided about a size: the first three are the cap that made it so small, the others why there is none."""

    RISK = "risk"
    CASH = "cash"
    POSITION = "position"
    NO_FILTERS = "no_filters"
    NOT_TRADING = "not_trading"
    OTHER_QUOTE = "other_quote"
    BAD_STOP = "bad_stop"
    UNPRICED = "unpriced"
    NO_EQUITY = "no_equity"
    NO_CASH = "no_cash"
    POSITION_FULL = "position_full"
    BELOW_MIN_QUANTITY = "below_min_quantity"
    BELOW_MIN_NOTIONAL = "below_min_notional"


@dataclass(frozen=True)
class Size:
    """How much one account buys of a signal.

    Attributes:
        quantity: In base, a multiple of the exchange's step; zero when there is none.
        verdict: Which cap decided, or why there is none.
        detail: The same for people, with the numbers.
    """

    quantity: Decimal
    verdict: Verdict
    detail: str


def calc_size(
    symbol: str, price: Decimal, stop_loss: Decimal, *, state: AccountState, listing: Listing | None, rules: SizingRules
) -> Size:
    """Return the largest quantity that keeps every limit.

    equity x risk_per_trade / (price - stop), but no more than the free cash after the reserve pays for, fee included,
    nor than the position share leaves room for; floored to the exchange's step. The signals of one candle are each
    sized as if they were the only one.

    Example: equity 10,000, risk 1 %, price 100, stop 95: 100 / 5 = 20. With a position share of 15 %: 15.

    Args:
        symbol: "SOL/USDT".
        price: At which is bought, quote per base.
        stop_loss: Quote per base.
        state: The account's cash and holdings.
        listing: The exchange's filters; None for a symbol it does not have.
        rules: What the operator allows.
    """
    with localcontext(EXACT):
        refused = _refuse(symbol, price, stop_loss, state, listing)
        if refused is not None or listing is None or listing.quantity_step is None:
            return refused or Size(ZERO, Verdict.NO_FILTERS, _no_filters(symbol))
        caps = _calc_caps(symbol, price, stop_loss, state, rules)
        verdict = min(caps, key=lambda name: caps[name])
        if caps[verdict] <= 0:
            return _no_room(symbol, state, rules, verdict)
        quantity = floor_to_step(caps[verdict].quantize(FINEST, ROUND_DOWN), listing.quantity_step)
        below = _find_below_minimum(symbol, quantity, price, listing, caps[verdict], verdict)
        return below or Size(quantity, verdict, _describe(symbol, quantity, price, stop_loss, state, rules, verdict))


def _refuse(
    symbol: str, price: Decimal, stop_loss: Decimal, state: AccountState, listing: Listing | None
) -> Size | None:
    base, _, quote = symbol.partition("/")
    if listing is None or listing.quantity_step is None:
        return Size(ZERO, Verdict.NO_FILTERS, _no_filters(symbol))
    if listing.status is not SymbolStatus.TRADING:
        return Size(ZERO, Verdict.NOT_TRADING, f"{symbol} is {listing.status} on the exchange.")
    if quote != state.quote_asset:
        detail = f"{symbol} is paid in {quote}, the account's cash is {state.quote_asset}."
        return Size(ZERO, Verdict.OTHER_QUOTE, detail)
    if not 0 < stop_loss < price:
        detail = f"Expected a stop loss above zero and below the price {format_number(price)}, was {stop_loss}."
        return Size(ZERO, Verdict.BAD_STOP, detail)
    if symbol in state.unpriced or base in state.unpriced:
        return Size(ZERO, Verdict.UNPRICED, f"{symbol} is held and has no price, so its share of equity is unknown.")
    if state.equity <= 0:
        return Size(ZERO, Verdict.NO_EQUITY, f"The equity is {format_money(state.equity, quote)}.")
    return None


def _calc_caps(
    symbol: str, price: Decimal, stop_loss: Decimal, state: AccountState, rules: SizingRules
) -> dict[Verdict, Decimal]:
    """Return the largest quantity by each rule; zero or below when it leaves no room."""
    cash = state.cash_free - rules.cash_reserve_ratio * state.equity
    room = rules.max_position_ratio * state.equity - state.total_values.get(symbol, ZERO)
    return {
        Verdict.RISK: state.equity * rules.risk_per_trade_ratio / (price - stop_loss),
        Verdict.CASH: cash / (price * (1 + rules.fee_ratio)),
        Verdict.POSITION: room / price,
    }


def _no_room(symbol: str, state: AccountState, rules: SizingRules, verdict: Verdict) -> Size:
    equity = format_money(state.equity, state.quote_asset)
    if verdict is Verdict.CASH:
        detail = (
            f"Free cash {format_money(state.cash_free, state.quote_asset)} is not above the reserve of "
            f"{format_number(100 * rules.cash_reserve_ratio)} % of the equity {equity}."
        )
        return Size(ZERO, Verdict.NO_CASH, detail)
    held = format_money(state.total_values.get(symbol, ZERO), state.quote_asset)
    share = f"{format_number(100 * rules.max_position_ratio)} %"
    return Size(
        ZERO, Verdict.POSITION_FULL, f"{symbol} is held for {held}, and {share} of the equity {equity} is the most."
    )


def _find_below_minimum(
    symbol: str, quantity: Decimal, price: Decimal, listing: Listing, exact: Decimal, verdict: Verdict
) -> Size | None:
    base, _, quote = symbol.partition("/")
    least = max(listing.min_quantity or ZERO, listing.quantity_step or ZERO)
    shown = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 3), ROUND_DOWN)  # four digits are enough for people
    cut = f"The {verdict} limit allows {format_number(shown)} {base}"
    if quantity < least:
        detail = f"{cut}; the exchange takes no less than {format_number(least)} {base}."
        return Size(ZERO, Verdict.BELOW_MIN_QUANTITY, detail)
    if listing.min_notional is not None and quantity * price < listing.min_notional:
        detail = (
            f"{cut}, worth {format_money(quantity * price, quote)}; the exchange takes no order below "
            f"{format_money(listing.min_notional, quote)}."
        )
        return Size(ZERO, Verdict.BELOW_MIN_NOTIONAL, detail)
    return None


def _describe(
    symbol: str,
    quantity: Decimal,
    price: Decimal,
    stop_loss: Decimal,
    state: AccountState,
    rules: SizingRules,
    verdict: Verdict,
) -> str:
    base, _, quote = symbol.partition("/")
    at_risk = quantity * (price - stop_loss)
    reason = {
        Verdict.RISK: f"the risk of {format_number(100 * rules.risk_per_trade_ratio)} % a trade decides",
        Verdict.CASH: f"the free cash after the reserve of {format_number(100 * rules.cash_reserve_ratio)} % decides",
        Verdict.POSITION: f"the largest position of {format_number(100 * rules.max_position_ratio)} % decides",
    }[verdict]
    held = state.total_values.get(symbol, ZERO)
    holding = f"; already held: {format_money(held, quote)}" if held > 0 else ""
    return (
        f"{format_number(quantity)} {base} for {format_money(quantity * price, quote)}, "
        f"{format_money(at_risk, quote)} at risk at the stop loss ({100 * at_risk / state.equity:.2f} % of the equity "
        f"{format_money(state.equity, quote)}); {reason}{holding}"
    )


def _no_filters(symbol: str) -> str:
    return f"The exchange's smallest step of {symbol} is not known. It comes with the next sync_market_data."


def choose_step(price: Decimal, price_step: Decimal | None) -> Decimal:
    """Return the exchange's price step, or where it is not known that of eight significant digits of the price."""
    return price_step or Decimal(1).scaleb(price.adjusted() - 7)


def round_levels(
    price: Decimal, stop_distance: Decimal, target_distance: Decimal, price_step: Decimal | None
) -> tuple[Decimal, Decimal]:
    """Return stop loss and take profit on the exchange's price steps: the stop rounded down, the target up."""
    step = choose_step(price, price_step)
    with localcontext(EXACT):
        target = ((price + target_distance) / step).to_integral_value(rounding=ROUND_UP) * step
        return floor_to_step(max(ZERO, price - stop_distance), step), target
